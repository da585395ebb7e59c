const accessKeyId = "<<id:1>>";
const x = someVeryLongFunctionNameForTheOrderQueue;
const y = AbstractSingletonProxyFactoryBeanMaking;
