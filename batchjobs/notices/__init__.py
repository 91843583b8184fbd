"""Messages to a program elsewhere: what a run came to, and what needs a person."""
