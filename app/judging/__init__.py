"""Judges that ask a backend. The pure parts (question, cascade) are in router/judges; here is the I/O."""
