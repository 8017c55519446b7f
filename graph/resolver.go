package graph

// Resolver is the root of the resolvers. They are named after the schema's types and lie in the files named
// after the schema's; what is more than a call is in domain.go.
type Resolver struct{ cfg Config }
