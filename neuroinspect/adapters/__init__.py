"""One tool in each module, behind a protocol of `neuroinspect.ports`. A module imports its tool when it is used."""
