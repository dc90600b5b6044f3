// Reads the configuration with the real wrangler.

module.exports = { unstable_readConfig: require(process.env.REAL_WRANGLER).unstable_readConfig };
