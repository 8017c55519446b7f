package bus

import "github.com/redis/go-redis/v9"

// Client is a connection to Redis as [Connect] makes it, named here so that rooms which only hand it on need
// not know Redis.
type Client = redis.UniversalClient
