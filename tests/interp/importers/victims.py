"""Functions that the hostile pickles of the tests try to run."""

touched: list[str] = []


def touch(what: str = "called") -> None:
    touched.append(what)


class Victim:
    def __new__(cls, *args: object) -> "Victim":
        touched.append("made")
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        touched.append("told")
