"""Reading `scontrol show assoc_mgr`: the limits of accounts and users, and how much of each is used now."""

from __future__ import annotations

import re
from typing import NamedTuple

from taut.slurm.site import Association, Limit, Limits

__all__ = ["Now", "parse"]

_PAIR = re.compile(r"(\w+)=((?:[^\s=,()]+=\w*\([\d.]+\),?)+|\S*)")
_BOUND = re.compile(r"(?:([^\s=,]+)=)?(N|\d+)(?:\((\d+)[\d.]*\))?$")


class Now(NamedTuple):
    """accounts: by name; users: by (account, partition); qos: limits that this user meets, by QOS."""

    accounts: dict[str, Association]
    users: dict[tuple[str, str], Association]
    qos: dict[str, Limits]
    usual_account: str | None


def parse(text: str, user: str, cluster: str) -> Now:
    """What the controller holds on `user`; other clusters' records are left out. Unset limits are not kept.

    Usage stands in parentheses behind each limit, for QOS below the user's number or name.
    """
    now = Now({}, {}, {}, None)
    usual = re.search(rf"^UserName={re.escape(user)}\((\d+)\) DefAccount=(\S+)", text, re.MULTILINE)
    names = {user, usual[1], f"{user}({usual[1]})"} if usual else {user}
    _, _, rest = text.partition("Association Records")
    associations, _, records = rest.partition("QOS Records")
    for record in re.split(r"^(?=ClusterName=)", associations, flags=re.MULTILINE)[1:]:
        head, *lines = record.splitlines()
        words = dict(_PAIR.findall(head))
        if cluster and words["ClusterName"] != cluster:
            continue
        owner = words.get("UserName", "").partition("(")[0]
        parent = re.search(r"ParentAccount=([^\s(]*)", record)
        one = Association(
            words["Account"],
            owner,
            words.get("Partition", ""),
            parent[1] if parent else "",
            _limits(lines),
        )
        if not owner:
            now.accounts[one.account] = one
        elif owner == user:
            now.users[one.account, one.partition] = one
    for record in re.split(r"^(?=QOS=)", records, flags=re.MULTILINE)[1:]:
        head, *lines = record.splitlines()
        name = head.removeprefix("QOS=").rpartition("(")[0]
        now.qos[name] = _limits(_own(lines, names), unset=True)
    return now._replace(usual_account=usual[2] if usual else None)


def _own(lines: list[str], names: set[str]) -> list[str]:
    """The lines of a QOS that are for everybody, and those below one of `names`."""
    found, keep = [], True
    for line in lines:
        if line.strip() in ("Account Limits", "User Limits"):
            keep = False
        elif "=" not in line:
            keep = line.strip() in names
        elif keep:
            found.append(line)
    return found


def _limits(lines: list[str], unset: bool = False) -> Limits:
    """unset: keep the use of what has no limit, too; its `most` is then -1."""
    found: Limits = {}
    for line in lines:
        for kind, values in re.findall(r"(?:^|\s)((?:Grp|Max|Min)\w+)=(\S*)", line):
            for value in values.split(","):
                bound = _BOUND.match(value)
                if bound and (unset or bound[2] != "N"):
                    most = -1 if bound[2] == "N" else int(bound[2])
                    found[kind, bound[1] or ""] = Limit(most, int(bound[3] or 0))
    return found
