"""`Frozen`: a base that makes a class what `dataclasses.dataclass(frozen=True)` would make of it.

For what loops and runtimes are made with. `dataclass` writes source text and compiles it, which
takes half a megabyte of a process for a class like `Config`, and where nobody has imported
`dataclasses`, that is as much again. To `dataclasses` the subclasses are its own: `fields()`,
`replace()` and `asdict()` take them, and errors are the same.
"""

from __future__ import annotations

import inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda kind: kind


class _Twin:
    """An attribute that `dataclasses` looks for, taken from a class of its own making."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, kind: type[Frozen]) -> Any:
        if kind is Frozen:
            raise AttributeError(self._name)
        from dataclasses import make_dataclass

        fields: list[Any] = [
            (each.name, each.annotation, *(() if each.default is each.empty else (each.default,)))
            for each in kind.__signature__.parameters.values()  # type: ignore[attr-defined]
        ]
        return getattr(make_dataclass(kind.__name__, fields, frozen=True), self._name)


@dataclass_transform(frozen_default=True)
class Frozen:
    """Fields are the annotations of the class, defaults what is assigned to them."""

    __dataclass_fields__ = _Twin()
    __dataclass_params__ = _Twin()

    if not TYPE_CHECKING:  # Who checks types derives these from the fields.

        def __init_subclass__(cls):
            super().__init_subclass__()
            if Frozen not in cls.__bases__:
                return  # As with a dataclass: what derives from it has its fields.
            parameters = [
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=vars(cls).get(name, inspect.Parameter.empty),
                    annotation=annotation,
                )
                for name, annotation in cls.__annotations__.items()
            ]
            cls.__signature__ = inspect.Signature(parameters)
            cls.__match_args__ = tuple(cls.__annotations__)

        def __init__(self, *values, **named):
            bound = self.__signature__.bind(*values, **named)
            bound.apply_defaults()
            vars(self).update(bound.arguments)
            self.__post_init__()

        def __setattr__(self, name, value):
            from dataclasses import FrozenInstanceError

            raise FrozenInstanceError(f"cannot assign to field {name!r}")

        def __delattr__(self, name):
            from dataclasses import FrozenInstanceError

            raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __post_init__(self) -> None:
        """For checks."""

    def __replace__(self, **changes: Any) -> Self:
        """`copy.replace()`, on any version."""
        return type(self)(**{**vars(self), **changes})

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({fields})"
