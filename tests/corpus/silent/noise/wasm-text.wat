(module
  (data (i32.const 0) "ACC<<nothing>>AGGGACC<<nothing>>AGGGACC<<nothing>>AGGGACCAGGG")
)
