"""A copy of a run folder in an object store, for machines that are taken away with their disks.

A run works in its folder on the disk: an object store has no locks, renames or syncs. Whenever a
checkpoint is complete there, the folder is copied, and a folder that is behind its copy is brought
up to it before the run goes on.

Everything goes through fsspec, as do the paths of etils and Orbax. They could write to `s3://`
themselves, but several files make a checkpoint, and nothing there says which of them are whole.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_rename, atomic_write, partial_path
from jaxmnist.run.folder import RunFolder, parse_json

CONFIG, SUMMARY = "config.json", "summary.json"
CHECKPOINTS, CHECKSUMS = "checkpoints", "checksums.json"
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of this package, by protocol


class Store:
    """A place for the copy of one run folder, such as `s3://bucket/runs/seq`."""

    def __init__(self, url: str) -> None:
        """Finds the library that speaks a URL's protocol; connects to nothing yet.

        Raises:
          UserError: if there is none.
        """
        import fsspec

        self.url = url.rstrip("/")
        protocol, separator, place = self.url.partition("://")
        if protocol == "file":
            raise UserError(f"{self.url} is on this machine: give its path as the workdir.")
        if not separator or not place:
            raise UserError(
                f"'{url}' is no address of an object store: give one such as s3://bucket/runs/seq."
            )
        try:
            # Listings are not kept: another machine may have written since.
            self._files, self._root = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except ImportError:
            extra = EXTRAS.get(protocol)
            advice = f"pip install 'jaxmnist[{extra}]'" if extra else "install what fsspec needs"
            raise UserError(
                f"{self.url} cannot be reached without another package: {advice} for it."
            ) from None
        except ValueError:
            raise UserError(
                f"{self.url} begins with a protocol that is not known: give s3:// or gs://."
            ) from None
        self._copied: dict[str, tuple[int, int]] = {}  # time and size of files, when copied

    def fetch(self, folder: RunFolder) -> bool:
        """Copies what the store has to a folder that is behind it; returns whether it was.

        Args:
          folder: of the run, perhaps not there yet.

        Raises:
          UserError: if the store cannot be read, or holds something else than this run.
        """
        there = _complete(self._names())
        if not there:
            return False
        if CONFIG not in there:
            raise UserError(f"{self.url} is not empty and not a run folder: give another address.")
        with self._reaching():
            config = self._files.cat_file(self._path(CONFIG))
        folder.refuse_other(parse_json(config, f"{self.url}/{CONFIG}"), self.url, "address")
        here = set(_local_names(folder.path))
        if _progress(there) <= _progress(here):
            return False
        whole = _whole_checkpoints(here)
        for name in sorted(there, key=_order):
            if not (number := _number(name)):
                with self._reaching():
                    content = self._files.cat_file(self._path(name))
                path = folder.path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(path, content)
            elif number not in whole:
                self._fetch_checkpoint(folder.path / CHECKPOINTS / str(number), there)
                whole.add(number)
        return True

    def push(self, folder: Path) -> None:
        """Copies what is new in a folder to the store, and removes checkpoints that are gone.

        Raises:
          UserError: if the store does not take it.
        """
        there, here = self._names(), _local_names(folder)
        whole = _whole_checkpoints(there)  # which never change
        for name in sorted(here, key=_order):
            if _number(name) in whole:
                continue
            status = (folder / name).stat()
            if self._copied.get(name) != (stamp := (status.st_mtime_ns, status.st_size)):
                with self._reaching():
                    self._files.put_file(str(folder / name), self._path(name))
                self._copied[name] = stamp
        gone = {number for name in there if (number := _number(name))}
        gone -= {_number(name) for name in here}
        # The checksums first: without them what is left does not pass for the whole.
        for name in sorted(there, key=_order, reverse=True):
            if _number(name) in gone:
                with self._reaching():
                    self._files.rm_file(self._path(name))

    def _fetch_checkpoint(self, target: Path, there: Iterable[str]) -> None:
        """Copies a checkpoint, which gets its name when it is complete and on the disk."""
        inside = f"{CHECKPOINTS}/{target.name}/"
        partial = partial_path(target)
        for name in there:
            if name.startswith(inside):
                path = partial / name.removeprefix(inside)
                path.parent.mkdir(parents=True, exist_ok=True)
                with self._reaching():
                    self._files.get_file(self._path(name), str(path))
        atomic_rename(partial, target)

    def _names(self) -> set[str]:
        """Returns the files in the store."""
        root = PurePosixPath(self._root)
        with self._reaching():
            found = self._files.find(self._root)
        paths = [PurePosixPath(path) for path in found]
        return {path.relative_to(root).as_posix() for path in paths if ".." not in path.parts}

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turns what goes wrong between here and the store into a `UserError`."""
        try:
            yield
        # Each client has exceptions of its own, of no common type, and what they tell is
        # somebody's to fix: names, rights, networks.
        except Exception as error:
            lines = str(error).strip().splitlines()
            reason = lines[0].rstrip(".") if lines else type(error).__name__
            raise UserError(
                f"the object store {self.url} cannot be used ({reason}): check address, "
                "credentials and network, and rerun to resume."
            ) from error


def _local_names(folder: Path) -> set[str]:
    """Returns the files of a run folder that are worth a copy."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return _complete(name for name in names if not _is_left_over(name))


def _is_left_over(name: str) -> bool:
    """Returns whether a file is a lock, somebody else's, half written or damaged."""
    parts = PurePosixPath(name).parts
    return any(
        part.startswith(".") or part.endswith(".partial") or ".damaged" in part for part in parts
    )


def _complete(names: Iterable[str]) -> set[str]:
    """Returns the names without those of checkpoints that lack their checksums."""
    given = set(names)
    whole = _whole_checkpoints(given)
    return {name for name in given if not _number(name) or _number(name) in whole}


def _number(name: str) -> int:
    """Returns the number of the checkpoint that a file is in, 0 if it is in none."""
    parts = PurePosixPath(name).parts
    inside = len(parts) > 2 and parts[0] == CHECKPOINTS and parts[1].isdecimal()
    return int(parts[1]) if inside else 0


def _whole_checkpoints(names: set[str]) -> set[int]:
    ends = {f"{CHECKPOINTS}/{_number(name)}/{CHECKSUMS}": _number(name) for name in names}
    return {ends[name] for name in names if name in ends}


def _progress(names: set[str]) -> tuple[int, bool]:
    """Returns how far a run is: its newest checkpoint, and whether it is finished."""
    return max(_whole_checkpoints(names), default=0), SUMMARY in names


def _order(name: str) -> tuple[int, int, bool]:
    """Sorts files such that a copy that breaks off holds nothing whose ground is missing."""
    number = _number(name)
    rank = 0 if name == CONFIG else 3 if name == SUMMARY else 2 if number else 1
    return rank, number, name.endswith(f"/{CHECKSUMS}")
