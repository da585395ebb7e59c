secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
secretAccessKey: configurationProviderOfTheDeploymentV2.get(),
