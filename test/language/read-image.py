"""Reads OCI layouts with Python's tarfile: config, and the file tree that the layers make. A witness that is not kiln.

Reads layout directories from stdin, one a line; writes one JSON object a line.
"""

import json
import os
import sys
import tarfile


def blob(layout, digest):
    return os.path.join(layout, "blobs", *digest.split(":"))


def clean(name):
    return name.removeprefix("./").strip("/").removeprefix("./")


def kind(member):
    if member.isdir():
        return "directory"
    if member.issym():
        return "symlink"
    if member.isfifo():
        return "fifo"
    if member.ischr() or member.isblk():
        return "device"
    return "file"


def drop_below(tree, path):
    prefix = path + "/" if path else ""
    for name in [name for name in tree if name.startswith(prefix) and name != path]:
        del tree[name]


def apply(tree, path):
    names = []
    with tarfile.open(path, errors="surrogateescape") as archive:
        members = archive.getmembers()
        for member in members:
            name = clean(member.name)
            parent, _, last = name.rpartition("/")
            if last == ".wh..wh..opq":
                drop_below(tree, parent)
            elif last.startswith(".wh."):
                victim = (parent + "/" if parent else "") + last[4:]
                tree.pop(victim, None)
                drop_below(tree, victim)
        for member in members:
            name = clean(member.name)
            names.append(name)
            if name.rpartition("/")[2].startswith(".wh."):
                continue
            entry = {
                "type": kind(member),
                "mode": format(member.mode & 0o7777, "o"),
                "owner": f"{member.uid}:{member.gid}",
            }
            xattrs = {
                key.removeprefix("SCHILY.xattr."): value
                for key, value in member.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            if xattrs:
                entry["xattrs"] = xattrs
            if member.islnk():
                target = clean(member.linkname)
                entry = dict(tree.get(target, entry), sameAs=target)
            elif member.issym():
                entry["link"] = member.linkname
            elif member.isreg() and member.size < 1 << 16:
                entry["content"] = archive.extractfile(member).read().decode("latin1")
            if tree.get(name, {}).get("type") == "directory" and entry["type"] != "directory":
                drop_below(tree, name)
            tree[name] = entry
    return sorted(name for name in names if name != "")


def read(layout):
    with open(os.path.join(layout, "index.json"), encoding="utf8") as stream:
        index = json.load(stream)
    with open(blob(layout, index["manifests"][0]["digest"]), encoding="utf8") as stream:
        manifest = json.load(stream)
    with open(blob(layout, manifest["config"]["digest"]), encoding="utf8") as stream:
        config = json.load(stream)
    tree = {}
    names = []
    for layer in manifest["layers"]:
        names.append(apply(tree, blob(layout, layer["digest"])))
    return {"config": config, "tree": tree, "layers": len(manifest["layers"]), "lastLayer": names[-1] if names else []}


for line in sys.stdin:
    print(json.dumps(read(line.rstrip("\n"))))
