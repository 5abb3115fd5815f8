"""The version of the package."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as of_distribution


def version() -> str:
    """The version of the installed distribution; "0+unknown" for a checkout that is not installed."""
    try:
        return of_distribution("groklens")
    except PackageNotFoundError:
        return "0+unknown"
