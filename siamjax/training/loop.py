"""The training loop, from a configuration and a work directory to the trained state."""

import contextlib
import dataclasses
import functools
import signal
import time
from pathlib import Path

import jax

from siamjax import compile_cache
from siamjax.config import Config, require
from siamjax.data.pipeline import Batches, make_batches
from siamjax.errors import SiamjaxError
from siamjax.interrupts import Interrupted, StopRequest
from siamjax.locks import held
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.batch_norm import calibrate_norms
from siamjax.training.checkpoints import Checkpoints
from siamjax.training.device_augment import make_finish
from siamjax.training.meter import Meter, SkippedError
from siamjax.training.monitoring import Monitor, Validate
from siamjax.training.optimizer import build_optimizer, learning_rate
from siamjax.training.phases import phase_at, phases
from siamjax.training.processes import from_main, is_main, largest, wait_for_all
from siamjax.training.start import begin_from, read_start
from siamjax.training.state import TrainState, create_state
from siamjax.training.step import make_step
from siamjax.training.workdir import check_workdir, write_config


class TrainingError(SiamjaxError, RuntimeError):
    """Training failed; the message names the step and the last good checkpoint."""


def train(
    config: Config,
    workdir: str | Path,
    *,
    validate: Validate | None = None,
    profile: tuple[int, int] | None = None,
) -> TrainState:
    """Trains `config` in `workdir`, resuming from the newest checkpoint there.

    The directory gets `config.json`, `metrics.jsonl` (means over `train.log_every` steps),
    `checkpoints/<step>/`, and `data/` for rendered training sets. A run that is resumed ends
    with the same parameters, bit by bit, as one that was never interrupted. A finished run
    returns at once. Turns the compilation cache on, see `compile_cache`.

    A new run starts from the weights that `init` names, if any, and lists in `start.txt` which
    arrays were taken.

    `validate` is called every `validation.every` steps and after the last one, with variables;
    its scores are written as `validation/<name>`, and the validated state is saved. It does not
    influence the training. `profile` is the first and the last step of a profiler trace, which
    goes to `profile/`.

    Ctrl-C and SIGTERM save a checkpoint and raise `Interrupted`. Raises `ConfigError` when the
    configuration cannot be trained here or the directory belongs to another one, `BusyError`
    when another run holds the directory, `CheckpointError` when a checkpoint cannot be read or
    written, the data's own errors when it is unusable, and `TrainingError` when reading the
    data fails later or more than `train.max_skipped` steps had a loss or gradient that is not
    finite.
    """
    require(
        not config.model.mask,
        "`model.mask` (=True) cannot be trained: there is no loss for masks, and weight decay "
        "would shrink the mask head; set it to False, or convert PySOT's weights",
    )
    config.check_training()
    workdir = Path(workdir).resolve()
    total, batch_size = config.train.steps, config.train.batch_size

    with contextlib.ExitStack() as stack:
        # --- Network, optimiser, step: shapes only, so that mistakes show early
        mesh = parallel.make_mesh()
        compile_cache.enable()
        parallel.check_batch_size(config.train, mesh.size, jax.process_count())
        if is_main():
            stack.enter_context(held(workdir, "--workdir"))
            check_workdir(workdir, config)
        wait_for_all("work directory")
        network = build_network(config.model)
        optimizer = build_optimizer(config)
        init = functools.partial(init_variables, network, config=config.model)
        create = functools.partial(
            create_state,
            init,
            optimizer,
            config.train.seed,
            averaged=config.train.average_decay > 0,
        )
        abstract_state = parallel.abstract_state(mesh, create)

        # --- The newest checkpoint
        folder = workdir / "checkpoints"
        checkpoints = stack.enter_context(
            Checkpoints(folder, keep=config.train.keep_checkpoints, config=config)
        )
        state = checkpoints.restore(abstract_state)
        start = 0 if state is None else int(state.step)
        monitor = Monitor(config, workdir, start, network, validate=validate, profile=profile)
        wait_for_all("monitor")
        if state is not None and start >= total and not monitor.owes_validation(start):
            _say(f"{workdir}: complete at step {start}, nothing left to train")
            return state
        checkpoints.check_space(abstract_state)
        beginning = read_start(config, abstract_state.variables) if state is None else None

        # --- Data; once it proves usable, the directory belongs to this run
        batches = stack.enter_context(_batches(config, workdir, start))
        if is_main():
            write_config(workdir, config)
        if is_main() and beginning is not None:
            _say(beginning.summary)
            (workdir / "start.txt").write_text(beginning.account)
        stack.enter_context(monitor)

        # --- Compilation
        began = time.perf_counter()
        if state is None:
            state = parallel.create_on(mesh, create)
        if beginning is not None:
            state = begin_from(beginning, state)
        if beginning is not None and beginning.folded:
            state = _calibrated(state, beginning.folded, config, network, mesh, workdir)
        steps = {
            phase: parallel.compile_step(
                make_step(config, network, phase.frozen), mesh, config, abstract_state
            )
            for phase in phases(config)
            if phase.first_step >= phase_at(start, config).first_step
        }
        hosts = jax.process_count()
        _say(
            f"{'resuming' if start else 'starting'} at step {start} of {total} on {mesh.size} "
            f"{jax.default_backend()} device{'s' * (mesh.size > 1)}"
            f"{f' of {hosts} processes' * (hosts > 1)}, compiled in "
            f"{time.perf_counter() - began:.1f} s"
        )

        meter = Meter(
            batch_size,
            run_ahead=parallel.may_run_ahead(mesh),
            skipped=int(jax.device_get(state.skipped)),
            max_skipped=config.train.max_skipped,
        )

        def record(done: int) -> None:
            """Writes the metrics since the last call; raises if too many steps were skipped."""
            try:
                values = meter.read(done)
            except SkippedError as error:
                checkpoints.wait()
                raise TrainingError(
                    f"{meter.skipped} steps were skipped, since their loss or gradient is not "
                    f"finite or the loss above `train.max_loss` (={config.train.max_loss:g}); "
                    f"`train.max_skipped` (={config.train.max_skipped}) are allowed. {error}. "
                    f"The last good checkpoint is {checkpoints.latest() or 'none'}. Lower "
                    "`optim.lr` or `optim.clip_norm`, or warm up for longer"
                ) from error
            values["epoch"] = (done - 1) // config.train.steps_per_epoch + 1
            values["learning_rate"] = float(learning_rate(done - 1, config.optim, config.train))
            monitor.scalars(done, values)

        def asked_to_stop(done: int) -> int:
            """The signal, if any; several processes agree every `train.log_every` steps."""
            if hosts > 1 and done % config.train.log_every:
                return 0
            return largest(stop.number or 0)

        def run_validation(done: int) -> None:
            """Validates the state and scores its checkpoint."""

            def in_millionths() -> int:
                score = monitor.validate(done, state, stop)
                return -1 if score is None else round(1e6 * score)

            # From one process to all, so that they keep the same checkpoints.
            if (score := from_main(in_millionths)) >= 0:
                checkpoints.add_score(done, score / 1e6)

        # --- Steps
        stacked = config.train.parallel == "pmap"
        stop = stack.enter_context(StopRequest())
        if monitor.owes_validation(start):
            run_validation(start)
        began, done, saved, failure = time.perf_counter(), start, start, None
        stopped_by = 0
        while done < total and not (stopped_by := asked_to_stop(done)):
            try:
                batch = meter.next_batch(batches)
            except Exception as error:
                failure = error
                break
            step = steps[phase_at(done, config)]
            with jax.transfer_guard("disallow"), monitor.profiler.before(done + 1):
                state, metrics = step(state, parallel.put_batch(batch, mesh, stacked=stacked))
            meter.add(metrics, batch.records)
            done += 1
            monitor.profiler.after(done, metrics)

            validates = monitor.owes_validation(done)
            saves = done % config.train.checkpoint_every == 0 and done < total
            # `record` comes first: it raises where too many steps were skipped.
            if done % config.train.log_every == 0 or validates or saves:
                record(done)
            if validates:
                run_validation(done)
                meter.restart()
            if monitor.owes_image(done):
                monitor.image(done, batch, state)
            if validates or saves:
                checkpoints.save(state)
                saved = done

        if failure is not None and hosts > 1:
            # The other processes wait in their next step, so that no checkpoint can be saved.
            checkpoints.wait()
            raise TrainingError(
                f"reading the data failed in process {jax.process_index()} after step {done} "
                f"of {total}: {failure}; last checkpoint: {checkpoints.latest() or 'none'}"
            ) from failure

        # --- End, for whatever reason: the last state is saved
        seconds = time.perf_counter() - began
        if meter.pending:
            record(done)
        if done > saved:
            checkpoints.save(state)
        checkpoints.wait()
        if batches.unreadable:
            print(f"{len(batches.unreadable)} records could not be read and were skipped")
        if done == total:
            rate = (done - start) * batch_size / seconds
            _say(f"complete at step {done} after {seconds:.0f} s, {rate:.1f} pairs/s")
            return state
        where = f"after step {done} of {total}, saved as {checkpoints.latest()}"
        if number := stopped_by or stop.number:
            name = signal.Signals(number).name
            raise Interrupted(number, f"stopped by {name} {where}; the same command resumes")
        raise TrainingError(f"reading the data failed {where}: {failure}") from failure


def _say(text: str) -> None:
    if is_main():
        print(text, flush=True)


def _batches(config: Config, workdir: Path, start: int) -> Batches:
    """This process's rows of every batch; process 0 renders what has to be rendered."""
    host, hosts = jax.process_index(), jax.process_count()
    of_hosts = {"host": host, "hosts": hosts} if hosts > 1 else {}
    if not is_main():
        wait_for_all("data")
    batches = make_batches(config, cache_dir=workdir / "data", start_step=start, **of_hosts)
    if is_main():
        wait_for_all("data")
    return batches


def _calibrated(
    state: TrainState, norms: tuple[str, ...], config: Config, network, mesh, workdir: Path
) -> TrainState:
    """`state` with those batch norms calibrated on the batch of step 0."""
    here = dataclasses.replace(config.data, num_workers=0)
    with _batches(dataclasses.replace(config, data=here), workdir, 0) as batches:
        batch = parallel.put_batch(next(batches), mesh)
    if config.data.finish_on == "device":
        batch = jax.jit(make_finish(config))(batch)
    variables = calibrate_norms(state.variables, batch, network=network, norms=norms)
    return state.starting_from(jax.device_put(variables, parallel.replicated(mesh)))
