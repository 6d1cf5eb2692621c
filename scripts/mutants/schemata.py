"""Puts many mutants into one source file, each behind a condition ("mutant schemata"):

    a < b       becomes   (if crate::mutant::is(7) { a <= b } else { a < b })
    { body }    becomes   { if crate::mutant::is(8) { return Ok(()); } body }

cargo-mutants lists the mutants; this module finds the syntax around each. The code of a mutant holds no other mutant, since one
at most is active."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import tree_sitter
import tree_sitter_rust

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
# The syntax that is replaced as a whole, because only an expression can become a choice.
ENCLOSING = {
    "BinaryOperator": ("binary_expression", "compound_assignment_expr"),
    "UnaryOperator": ("unary_expression",),
    "StructField": ("struct_expression",),
}


class NotHeld(Exception):
    """The mutant is no expression, body or match arm."""


@dataclass(frozen=True)
class Mutant:
    id: int
    name: str
    file: str
    genre: str
    span: dict
    replacement: str


@dataclass
class Site:
    """A range of the source with the mutants that change it."""

    start: int
    end: int
    kind: str
    mutants: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Region:
    """A range of the new source: a site, or the code of one mutant. It explains the compiler's errors."""

    start: int
    end: int
    ids: frozenset[int]
    is_mutated_code: bool


class Source:
    def __init__(self, text: bytes):
        self.text = text
        self.root = PARSER.parse(text).root_node
        self.lines = text.split(b"\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def offset(self, position: dict) -> int:
        """Bytes from the file's start. cargo-mutants counts lines and characters from 1."""
        line = self.lines[position["line"] - 1].decode()
        return self.starts[position["line"] - 1] + len(line[: position["column"] - 1].encode())

    def enclosing(self, start: int, end: int, types: tuple[str, ...]) -> tree_sitter.Node:
        """The smallest node of these types around the range."""
        node = self.root.descendant_for_byte_range(start, end)
        while node and node.type not in types:
            node = node.parent
        if not node:
            raise NotHeld
        return node

    def place(self, mutant: Mutant) -> tuple[int, int, str, bytes]:
        """The site's start, end and kind, and the mutated code."""
        start, end = self.offset(mutant.span["start"]), self.offset(mutant.span["end"])
        if mutant.genre == "FnValue":
            # The span excludes the braces, and comments beside them.
            block = self.enclosing(start, end, ("block",))
            return block.start_byte + 1, block.end_byte - 1, "body", mutant.replacement.encode()
        if mutant.genre == "MatchArm":
            arm = self.enclosing(start, start, ("match_arm",))
            arrow = next((child for child in arm.children if child.type == "=>"), None)
            # An arm with a condition covers nothing, so another arm must.
            if not arrow or not any(
                sibling.type == "match_arm" and sibling.child_by_field_name("pattern").text == b"_" for sibling in arm.parent.children
            ):
                raise NotHeld
            return arrow.start_byte, arrow.start_byte, "arm", b""
        if mutant.genre == "MatchArmGuard":
            return start, end, "expression", mutant.replacement.encode()
        if mutant.genre not in ENCLOSING:
            raise NotHeld
        node = self.enclosing(start, end, ENCLOSING[mutant.genre])
        if mutant.genre == "BinaryOperator" and node.child_by_field_name("operator").start_byte != start:
            raise NotHeld
        code = self.text[node.start_byte : start] + mutant.replacement.encode() + self.text[end : node.end_byte]
        return node.start_byte, node.end_byte, "expression", code


class Schemata:
    """One file with its mutants: `text` is the new source, `held` the ids in it, and `regions` explains it."""

    def __init__(self, source: Source, mutants: list[Mutant], crate: str):
        self.source, self.crate = source, crate
        self.text = bytearray()
        self.regions: list[Region] = []
        self.held: set[int] = set()
        sites: dict[tuple[int, int, str], Site] = {}
        for mutant in mutants:
            try:
                start, end, kind, code = source.place(mutant)
            except NotHeld:
                continue
            sites.setdefault((start, end, kind), Site(start, end, kind)).mutants.append((mutant.id, code))
            self.held.add(mutant.id)
        # Outer sites before inner ones.
        self.queue = deque(sorted(sites.values(), key=lambda site: (site.start, -site.end, site.kind != "body")))
        self.write(0, len(source.text))

    def write(self, start: int, end: int) -> None:
        """Writes this range of the source, with the sites in it."""
        while self.queue and self.queue[0].start < end:
            site = self.queue.popleft()
            self.text += self.source.text[start : site.start]
            self.write_site(site)
            start = site.end
        self.text += self.source.text[start:end]

    def write_site(self, site: Site) -> None:
        begin = len(self.text)
        condition = "{crate}::mutant::is({id})"
        if site.kind == "arm":
            ids = [f"!{self.crate}::mutant::is({id})" for id, _ in site.mutants]
            self.text += f"if {' && '.join(ids)} ".encode()
        elif site.kind == "body":
            for id, code in site.mutants:
                self.text += f" if {condition.format(crate=self.crate, id=id)} {{ return ".encode()
                self.write_mutated(id, code)
                self.text += b"; }"
            self.write(site.start, site.end)
        else:
            self.text += b"("
            for id, code in site.mutants:
                self.text += f"if {condition.format(crate=self.crate, id=id)} {{ ".encode()
                self.write_mutated(id, code)
                self.text += b" } else "
            self.text += b"{ "
            self.write(site.start, site.end)
            self.text += b" })"
        self.regions.append(Region(begin, len(self.text), frozenset(id for id, _ in site.mutants), False))

    def write_mutated(self, id: int, code: bytes) -> None:
        begin = len(self.text)
        self.text += code
        self.regions.append(Region(begin, len(self.text), frozenset([id]), True))
