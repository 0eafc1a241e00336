"""Which numbers of a document are claims, which are declared to be none, and which nobody has looked at."""
