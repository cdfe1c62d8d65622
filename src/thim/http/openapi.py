"""
OpenAPI 3.1 documents, written from declarations that stand beside the routes.

An `Operation` says what one method of one path takes and answers; what bodies
look like is said by msgspec types: those that bodies are read with, and those
of ``openapi_*_answers`` for what is answered.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from thim.services.tokens import ALLOWED, Permission, Role


VERSION: Final = importlib.metadata.version("thim")
_REFERENCE: Final = "#/components/schemas/{name}"
_PLAIN: Final = "text/plain"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    Whose tokens are taken: of nobody's tenant with one of these *roles*, of
    the tenant that is asked about with one of the *tenant_roles*.

    Where a token *is_optional* there are requests that need none; where there
    are no roles nobody needs one.
    """

    roles: Sequence[Role] = ()
    tenant_roles: Sequence[Role] = ()
    is_optional: bool = False


ANYBODY: Final = Access()


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """
    Return the roles that include *permission*.
    """
    return tuple(role for role in Role if permission in ALLOWED[role])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """
    A variable part of a path (``where = "path"``), a member of the query, or a
    header; *kind* is the msgspec type of its values.
    """

    name: str
    where: str
    text: str
    kind: Any
    example: object
    is_required: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """
    What is sent: by media type the msgspec types of which it is one; *examples*
    by their names, each of the first media type.
    """

    kinds: Mapping[str, Sequence[Any]]
    examples: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """
    A header that an answer always has.
    """

    text: str
    kind: Any = str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What is answered, by media type the msgspec type of it; with a *name* it is
    written once for all operations that have it.
    """

    text: str
    kinds: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, Header] = dataclasses.field(default_factory=dict)
    example: object = None
    name: str | None = None


#: What a connection refuses before anybody has looked at the path.
REFUSED_AT_ONCE: Final = {
    status: Answer(name=name, text=text, kinds={_PLAIN: str})
    for status, name, text in (
        (408, "TooSlow", "The request took too long."),
        (414, "LongTarget", "The request line is too long."),
        (431, "LargeHeaders", "The headers are too large, or too many."),
    )
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One *method* of one *path*; *answers* by their status.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    access: Access = ANYBODY
    parameters: Sequence[Parameter] = ()
    body: Body | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """
    The operations of one document; *tags* and their descriptions in order.
    """

    title: str
    description: str
    tags: Mapping[str, str]
    servers: Sequence[Mapping[str, Any]]
    operations: Sequence[Operation]


def write_document(family: Family) -> bytes:
    """
    Write the OpenAPI document of *family*.
    """
    return msgspec.json.format(
        msgspec.json.encode(make_document(family)), indent=2
    )


def make_document(family: Family) -> dict[str, Any]:
    """
    Make the OpenAPI document of *family*.
    """
    writer = _Writer()
    paths: dict[str, dict[str, Any]] = {}
    for operation in family.operations:
        methods = paths.setdefault(operation.path, {})
        methods[operation.method.lower()] = writer.write_operation(operation)
    bearer = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token of `thim token create`, or a JWT of the "
        "OpenID issuer that the service is set up with.",
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": family.title,
            "version": VERSION,
            "description": family.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": list(family.servers),
        "tags": [
            {"name": name, "description": text}
            for name, text in family.tags.items()
        ],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(writer.schemas.items())),
            "responses": dict(sorted(writer.answers.items())),
            "securitySchemes": {"bearer": bearer},
        },
    }


class _Writer:
    """Writes operations, and gathers what they share."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}

    def write_operation(self, operation: Operation) -> dict[str, Any]:
        access = operation.access
        found: dict[str, Any] = {
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "security": _write_security(access),
            "x-thim-roles": [role.value for role in access.roles],
            "x-thim-tenant-roles": [role.value for role in access.tenant_roles],
            "parameters": [*map(self._write_parameter, operation.parameters)],
        }
        if operation.body is not None:
            found["requestBody"] = self._write_body(operation.body)
        found["responses"] = {
            str(status): self._refer_to(answer)
            for status, answer in sorted(
                {**operation.answers, **REFUSED_AT_ONCE}.items()
            )
        }
        return found

    def _write_parameter(self, parameter: Parameter) -> dict[str, Any]:
        return {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.text,
            "required": parameter.is_required,
            "schema": self._write_schema(parameter.kind),
            "example": parameter.example,
        }

    def _write_body(self, body: Body) -> dict[str, Any]:
        content: dict[str, Any] = {
            media: {"schema": self._write_choice(kinds)}
            for media, kinds in body.kinds.items()
        }
        next(iter(content.values()))["examples"] = {
            name: {"value": value} for name, value in body.examples.items()
        }
        return {"required": True, "content": content}

    def _refer_to(self, answer: Answer) -> dict[str, Any]:
        if answer.name is None:
            return self._write_answer(answer)
        if answer.name not in self.answers:
            self.answers[answer.name] = self._write_answer(answer)
        return {"$ref": f"#/components/responses/{answer.name}"}

    def _write_answer(self, answer: Answer) -> dict[str, Any]:
        content: dict[str, Any] = {
            media: {"schema": self._write_schema(kind)}
            for media, kind in answer.kinds.items()
        }
        if answer.example is not None:
            next(iter(content.values()))["example"] = answer.example
        headers = {
            name: {
                "description": header.text,
                "required": True,
                "schema": self._write_schema(header.kind),
            }
            for name, header in answer.headers.items()
        }
        found = {"description": answer.text, "headers": headers}
        return {**found, "content": content} if content else found

    def _write_choice(self, kinds: Sequence[Any]) -> dict[str, Any]:
        written = [self._write_schema(kind) for kind in kinds]
        return written[0] if len(written) == 1 else {"anyOf": written}

    def _write_schema(self, kind: Any) -> dict[str, Any]:  # noqa: ANN401
        (schema,), found = msgspec.json.schema_components(
            [kind], ref_template=_REFERENCE
        )
        for name, written in found.items():
            plain = _to_ecma(written)
            if self.schemas.setdefault(name, plain) != plain:
                msg = f"there are two types called {name}"
                raise AssertionError(msg)
        plain = _to_ecma(schema)
        if not isinstance(plain, dict):
            raise TypeError
        return plain


def _write_security(access: Access) -> list[dict[str, list[str]]]:
    if not access.roles:
        return []
    bearer: dict[str, list[str]] = {"bearer": []}
    return [{}, bearer] if access.is_optional else [bearer]


def _to_ecma(value: Any, name: str = "") -> Any:  # noqa: ANN401 - it is JSON
    r"""
    Write patterns of Python's as those of ECMAScript, which has no ``\A``.
    """
    if isinstance(value, dict):
        return {key: _to_ecma(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_to_ecma(each) for each in value]
    if name == "pattern" and isinstance(value, str):
        return value.replace(r"\A", "^").replace(r"\Z", "$")
    return value
