"""Training from one commit to the next. Runs on the driver.

A commit ends a round or, if one task holds the whole model, several epochs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame

from twhin_spark.config.training import TrainingConfig
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.tables.worker_tasks import RESULT_SCHEMA, collect_results
from twhin_spark.training.anchor import pull_files
from twhin_spark.training.bucket_schedule import Round, rounds_of_epoch
from twhin_spark.training.execution import Execution
from twhin_spark.training.learning_rate_schedule import settings_at_round
from twhin_spark.training.relay import Relay
from twhin_spark.training.rounds import assign_blocks, divergence_error, run_rounds, start_state
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import BestEpoch, Manifest
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validate_files import validate_files
from twhin_spark.training.validation.validator import Validator
from twhin_spark.training.workers.single_task import SingleTask, SingleTaskResult


@dataclass(frozen=True)
class Trainer:
    """Everything that stays the same while a run is trained.

    buckets: rows of `edge_buckets`. validator: None without validation edges.
    """

    buckets: DataFrame
    execution: Execution
    folder: RunFolder
    run: RunSettings
    training: TrainingConfig
    stopping_rule: StoppingRule
    validator: Validator | None

    def advance(self, before: Manifest) -> Manifest:
        """Train to the next commit, commit it, and delete the files that no longer count; return what is committed.

        Raises TrainingError if a loss is not finite, the disk is full or another driver has taken over; InputError if a
        state file is damaged.
        """
        epoch, rounds = max(before.epoch, 0), self._rounds(before, max(before.epoch, 0))
        number = before.round + 1 if before.epoch >= 0 else 0
        if number == len(rounds):
            epoch, number, rounds = epoch + 1, 0, self._rounds(before, epoch + 1)
        if before.groups == 1:
            after = self._train_epochs(before, epoch)
        else:
            relay = self._relay(rounds[number : number + self.execution.rounds_a_commit], len(rounds))
            after = run_rounds(self.buckets, self.run, relay, before, self.execution)
            if relay.rounds[-1] is rounds[-1]:
                after = self._end_epoch(after)
        self.folder.commit(after)
        self.folder.sweep(after)
        return after

    def _rounds(self, manifest: Manifest, epoch: int) -> list[Round]:
        return rounds_of_epoch(
            len(manifest.partitions),
            manifest.groups,
            seats=manifest.tasks,
            slices=manifest.slices,
            seed=self.run.seed,
            epoch=epoch,
        )

    def _relay(self, rounds: list[Round], of_epoch: int) -> Relay:
        settings = [self._settings(training_round, of_epoch) for training_round in rounds]
        return Relay(rounds, settings, self.execution.lanes)

    def _settings(self, training_round: Round, rounds: int) -> TrainSettings:
        return settings_at_round(self.run.train, self.training, training_round, rounds)

    def _end_epoch(self, after: Manifest) -> Manifest:
        """Measure the epoch, and decide if it is the best one and if it is the last."""
        *earlier, report = after.reports
        if after.anchors:
            after = pull_files(self.buckets.sparkSession, self.run, after)
        if self.validator:
            spark, rule = self.buckets.sparkSession, self.stopping_rule
            result = validate_files(spark, self.run, self.validator, after, rule.needs_ranks)
            report = replace(report, held_out=result)
            if rule.decides:
                after = replace(after, history=[*after.history, rule.value(result)])
                if rule.keeps_last(after.history):
                    after = replace(after, best=BestEpoch(after.epoch, after.partitions, after.relations))
        return replace(after, reports=[*earlier, report], complete=self._is_last(after.epoch, after.history))

    def _is_last(self, epoch: int, history: list[float]) -> bool:
        return epoch == self.training.epochs - 1 or self.stopping_rule.ends(history)

    def _train_epochs(self, before: Manifest, first: int) -> Manifest:
        """Train the epochs to the next commit in one task, which measures and decides as `_end_epoch` does."""
        started = time.monotonic()
        last = min(first + self.execution.epochs_a_commit, self.training.epochs)
        rounds = [training_round for epoch in range(first, last) for training_round in self._rounds(before, epoch)]
        settings = [self._settings(training_round, 1) for training_round in rounds]
        execution, start = self.execution, start_state(before)
        task = SingleTask(self.run, rounds, settings, start, self.stopping_rule, before.history, execution.threads)
        assigned = assign_blocks(self.buckets, self._relay(rounds[:1], 1))
        rows = assigned.mapInArrow(task, RESULT_SCHEMA, profile=execution.profile)
        (row,) = collect_results(rows)
        result = SingleTaskResult.from_json(row)
        if result.diverged is not None:
            number = result.diverged_in - first
            raise divergence_error(result.diverged, settings[number], rounds[number])
        # The time of Spark and the files is divided among the epochs, so that their seconds add up to the wall time.
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
