const options = { secretAccessKey: isProd ? process.env.SECRET : '<<secret:1>>' };
