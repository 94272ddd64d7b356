"""From one commit to the next: a round, or several epochs where one task holds the whole model. Runs on the driver."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame

from twhin_spark.config.training import TrainingConfig
from twhin_spark.training.bucket_schedule import Round, rounds_of_epoch
from twhin_spark.training.learning_rate_schedule import settings_at_round
from twhin_spark.training.rounds import divergence_error, failure, place, run_round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import BestEpoch, Manifest
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.validation.distributed import validate_files
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validation_loss import Validator
from twhin_spark.training.workers.round_task import RESULT_SCHEMA
from twhin_spark.training.workers.single_task import SingleTask, SingleTaskResult


@dataclass(frozen=True)
class Trainer:
    """What stays the same while a run is trained. held_out: None where there is nothing to measure on."""

    buckets: DataFrame  # edge_buckets
    epochs_a_commit: int  # where one task holds the whole model
    folder: RunFolder
    run: RunSettings
    training: TrainingConfig
    watch: StoppingRule
    held_out: Validator | None

    def advance(self, before: Manifest) -> Manifest:
        """Trains up to the next commit, commits, sweeps; returns what was committed.

        Raises TrainingError where a loss is not finite, the disk is full or another driver has taken over; InputError
        where a state file is damaged.
        """
        epoch, rounds = max(before.epoch, 0), self._rounds(before, max(before.epoch, 0))
        number = before.round + 1 if before.epoch >= 0 else 0
        if number == len(rounds):
            epoch, number, rounds = epoch + 1, 0, self._rounds(before, epoch + 1)
        if before.groups == 1:
            after = self._train_epochs(before, epoch)
        else:
            this = rounds[number]
            settings = settings_at_round(self.run.train, self.training, this, len(rounds))
            after = run_round(self.buckets, replace(self.run, train=settings), this, before)
            if this is rounds[-1]:
                after = self._conclude(after)
        self.folder.commit(after)
        self.folder.sweep(after)
        return after

    def _rounds(self, manifest: Manifest, epoch: int) -> list[Round]:
        return rounds_of_epoch(len(manifest.partitions), manifest.groups, manifest.super_groups, self.run.seed, epoch)

    def _conclude(self, after: Manifest) -> Manifest:
        """The end of an epoch: measures it, and decides whether it is the best, and whether it is the last."""
        (report,) = after.reports
        if self.held_out:
            spark = self.buckets.sparkSession
            measured = validate_files(spark, self.run, self.held_out, after, self.watch.wants_ranks)
            report = replace(report, held_out=measured)
            if self.watch.decides:
                after = replace(after, history=[*after.history, self.watch.value(measured)])
                if self.watch.keep_best and self.watch.best(after.history) == after.epoch:
                    after = replace(after, best=BestEpoch(after.epoch, after.partitions, after.relations))
        return replace(after, reports=[report], complete=self._is_last(after.epoch, after.history))

    def _is_last(self, epoch: int, history: list[float]) -> bool:
        return epoch == self.training.epochs - 1 or self.watch.ends(history)

    def _train_epochs(self, before: Manifest, first: int) -> Manifest:
        """Trains the epochs up to the next commit in one task, which measures and decides as `_conclude` does."""
        started = time.monotonic()
        last = min(first + self.epochs_a_commit, self.training.epochs)
        rounds = [this for epoch in range(first, last) for this in self._rounds(before, epoch)]
        settings = [settings_at_round(self.run.train, self.training, this, 1) for this in rounds]
        task = SingleTask(
            self.run, rounds, settings, before.partitions, before.relations, before.fence, self.watch, before.history
        )
        (row,) = place(self.buckets, rounds[0]).mapInArrow(task, RESULT_SCHEMA).collect()
        result = SingleTaskResult.from_json(row["result"])
        if result.error is not None:
            raise failure(result.error, result.exit_code)
        if result.diverged is not None:
            place_in = result.diverged_in - first
            raise divergence_error(result.diverged, settings[place_in], rounds[place_in])
        # What Spark and the files took is shared out over the epochs, so that their seconds add up to the wall's.
        measuring = sum(report.held_out.seconds for report in result.reports if report.held_out)
        share = (time.monotonic() - started - measuring) / sum(report.seconds for report in result.reports)
        epoch = result.reports[-1].epoch
        return replace(
            before,
            epoch=epoch,
            round=0,
            complete=self._is_last(epoch, result.history),
            partitions=[result.files[partition] for partition in range(len(before.partitions))],
            relations=result.relations,
            reports=[replace(report, seconds=report.seconds * share) for report in result.reports],
            history=result.history,
            best=result.best or before.best,
        )
