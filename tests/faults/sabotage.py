"""Puts a fault into the product from outside: no switch for any is in it."""

__all__ = ["plant"]


def plant(owner: object, name: str, fault: object) -> None:
    """Put a fault in the place of a name; one that is not there would break nothing.

    Args:
        owner: The module that uses the name, or the class that has it.
        name: Of a function, a class or a method.
        fault: What is called in its place from now on.
    """
    getattr(owner, name)
    setattr(owner, name, fault)
