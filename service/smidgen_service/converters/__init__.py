"""Messages into the service's own types and back: the only modules that know both."""
