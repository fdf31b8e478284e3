"""What is free on each node, kept so that all nodes are looked at in one operation: as bits of whole numbers."""

from __future__ import annotations

__all__ = ["Free", "bits", "mask_of"]


class Free:
    """Free units of each node. least[c]: the nodes with at least c free units, node i as bit i.

    A job that asks for `per` units on a node finds its nodes by one conjunction, and taking and giving units moves bits between neighbouring
    numbers, whatever the number of nodes.
    """

    __slots__ = ("least", "units")

    def __init__(self, nodes: int, units: int) -> None:
        self.units = units
        self.least = [(1 << nodes) - 1] * (units + 1)
        self.least.append(0)  # nobody has more than all

    def copy(self) -> Free:
        other = object.__new__(Free)
        other.units, other.least = self.units, self.least.copy()
        return other

    def fit(self, nodes: int, per: int, allowed: int) -> int:
        """Nodes (as bits) with room for `per` units on each of `nodes`, among `allowed`; 0 if there are not so many.

        The fullest that still have room, so that large holes stay whole; of equals the first.
        """
        least = self.least
        if nodes == 1:
            if not least[per] & allowed:
                return 0
            for c in range(per, self.units + 1):
                found = least[c] & ~least[c + 1] & allowed
                if found:
                    return found & -found
        found = least[per] & allowed
        if found.bit_count() < nodes:
            return 0
        return first(found, nodes)

    def take(self, mask: int, per: int) -> None:
        least, units = self.least, self.units
        rest = ~mask
        for c in range(1, units - per + 1):
            least[c] = least[c] & rest | least[c + per] & mask
        for c in range(units - per + 1, units + 1):
            least[c] &= rest

    def give(self, mask: int, per: int) -> None:
        least, rest = self.least, ~mask
        for c in range(self.units, per, -1):
            least[c] = least[c] & rest | least[c - per] & mask
        for c in range(1, per + 1):
            least[c] |= mask

    def on(self, node: int) -> int:
        """Free units of one node."""
        bit = 1 << node
        return sum(1 for c in range(1, self.units + 1) if self.least[c] & bit)


def first(mask: int, count: int) -> int:
    """The lowest `count` bits of `mask`."""
    rest = mask
    for _ in range(count):
        rest &= rest - 1
    return mask ^ rest


def bits(mask: int) -> list[int]:
    """The nodes in a mask, ascending."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def mask_of(nodes: range) -> int:
    return ((1 << len(nodes)) - 1) << nodes.start
