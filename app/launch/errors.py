"""What can go wrong before anything runs. Knows no process.

LaunchError          the message is complete: what is wrong, and what to do
"""


class LaunchError(Exception):
    """Shown to the user as it stands, without a traceback; `thinkgate up` ends with status 1."""
