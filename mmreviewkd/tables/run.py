"""One training of a table: what it is, how far it is, and what is kept of it."""

from __future__ import annotations

import json
import os
import os.path as osp
import platform
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

import torch

from ..compat.saving import latest_whole_checkpoint, write_whole
from ..errors import UserInputError
from ..models.export import export_student
from .command import commit_of_now, last_line
from .record import (
    epochs_done,
    file_hash,
    read_record,
    read_run_settings,
    record_run,
)
from .table import Row, Table

# only the last checkpoint of a run is kept
_OPTIONS = ('default_hooks.checkpoint.max_keep_ckpts=1',)
# how a training ends that a loss has stopped
_STOPPED = 'Training stops'


class Run:
    """A training, in a process of its own.

    Args:
        table (Table): Table that the run is of.
        row (Row): Row of the table, or what is trained before its rows.
        seed (int): Seed of the run.

    Attributes:
        name (str): Name in messages, such as ``'kd, seed 0'``.
        work_dir (str): Folder of the run.
        record (Record, optional): What is kept of it; None before it has ended.

    Raises:
        UserInputError: The files of the run are of another config, or are not what
            this class writes.
    """

    def __init__(self, table: Table, row: Row, seed: int) -> None:
        self.table, self.row, self.seed = table, row, seed
        self.name = f'{row.name}, seed {seed}'
        self.work_dir = row.work_dir.format(seed=seed)
        self._console = osp.join(self.work_dir, 'console.log')
        self._result = table.result(row, seed)
        seeded = f'randomness.seed={seed}'
        options = [*_OPTIONS, *table.options, *row.options, seeded]
        self._settings = read_run_settings(row.config, options)
        self._command = ['train', row.config, '--work-dir', self.work_dir]
        self._command += ['--cfg-options', *options]
        self._notes_file = osp.join(self.work_dir, 'notes.json')
        self._begun = 0.0
        self.look()

    def look(self) -> None:
        """Read what is there: another program may have gone on with the run."""
        # of the starts so far: commits, seconds, peak memory
        self._notes: dict[str, Any] = dict(
            config_hash=self._settings.hash, commits=[], seconds=0.0, memory_mb=0.0
        )
        if osp.isfile(self._notes_file):
            with open(self._notes_file, encoding='utf-8') as file:
                try:
                    self._notes = json.load(file)
                    former = self._notes['config_hash']
                except (ValueError, KeyError, TypeError):
                    raise UserInputError(
                        f'{self._notes_file} is not what run_table.py notes of a run; '
                        f'move {self.work_dir} away to run it again'
                    ) from None
            self._check(former, self.work_dir)
        self.record = read_record(self._result)
        if self.record:
            self._check(self.record.content['config_hash'], self._result)

    def _check(self, former: str, path: str) -> None:
        if former != self._settings.hash:
            raise UserInputError(
                f'{path} is of another {self.row.config} or other options than those '
                'of now; move it away to run it again'
            )

    @property
    def trained(self) -> bool:
        """Whether there is nothing left to train."""
        return epochs_done(self.work_dir) >= self._settings.epochs

    def start(self) -> int:
        """Start the training, or go on with it; its output goes to console.log.

        Returns:
            int: The id of the process.
        """
        arguments = list(self._command)
        if epochs_done(self.work_dir):
            arguments.append('--resume')
        os.makedirs(self.work_dir, exist_ok=True)
        commit = commit_of_now()
        if commit not in self._notes['commits']:
            self._notes['commits'].append(commit)
        self._note()  # now, too: this program may be killed
        self._begun = time.time()
        with open(self._console, 'a', encoding='utf-8') as file:
            # imported from here, also if another checkout is installed
            path = os.pathsep.join([os.getcwd(), os.environ.get('PYTHONPATH', '')])
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'mmreviewkd', *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=path),
            )
        return self._process.pid

    def stop(self) -> None:
        """End the process, and note what it cost."""
        # not by terminate(), which reaps a process that has ended already
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        _, status, usage = os.wait4(self._process.pid, 0)
        self.ended(status, usage)

    def ended(self, status: int, usage: Any) -> None:
        """Note what the process has cost that has ended.

        Args:
            status (int): Status of the process, as ``os.wait4`` returns it.
            usage (resource.struct_rusage): What the process used, likewise.
        """
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._notes['seconds'] += time.time() - self._begun
        # Linux counts in kB
        memory = max(self._notes['memory_mb'], usage.ru_maxrss / 1024)
        self._notes['memory_mb'] = memory
        self._note()

    def keep(self) -> str:
        """Keep the figures of the run, if it has all of them.

        It has, too, if a loss has stopped it.

        Returns:
            str: What went wrong; empty if nothing did.
        """
        stopped = ''
        if not self.trained:
            with open(self._console, encoding='utf-8', errors='replace') as file:
                stopped = last_line(file.read())
            if _STOPPED not in stopped:
                code = self._process.returncode
                return f'{self.name}: exit code {code}, {stopped} ({self._console})'
        teacher, exported = self._settings.teacher, ''
        checkpoint = latest_whole_checkpoint(self.work_dir)
        if checkpoint and self.row in self.table.rows:
            folder = f'work_dirs/tables/{self.table.name}/students'
            exported = f'{folder}/{self.row.name}_{self.seed}.pth'
            export_student(checkpoint, exported)
        facts = dict(
            row=self.row.name,
            seed=self.seed,
            command=shlex.join(['mmreviewkd', *self._command]),
            **self._notes,
            stopped=stopped,
            teacher=_file(teacher),
            load_from=_file(self._settings.load_from),
            student=_file(exported),
            machine=_machine(),
            versions=_versions(),
        )
        try:
            self.record = record_run(
                self._result, self.work_dir, facts, self._settings.epochs
            )
        except UserInputError as error:
            return f'{self.name}: {error} ({self._console})'
        return ''

    def _note(self) -> None:
        write_whole(self._notes_file, json.dumps(self._notes))


def _file(path: str | None) -> dict[str, str] | None:
    return dict(file=path, sha256=file_hash(path)) if path else None


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return f'{platform.machine()} CPU, 1 of {os.cpu_count()} cores'


def _versions() -> dict[str, str]:
    names = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmreviewkd')
    found = {name: import_module(name).__version__ for name in names}
    return dict(python=platform.python_version(), **found)
