"""The review page: the place where a person looks at neurons and decides."""
