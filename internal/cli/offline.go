package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"proofload/internal/coordinator"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// withStore opens a store without a coordinator: it knows the runs that have ended.
func withStore(ctx context.Context, location string, write bool, fn func(*result.Repository) error) error {
	repository, closeStore, err := coordinator.OpenStore(ctx, location, write)
	switch {
	case errors.Is(err, coordinator.ErrNoStore):
		return usage("--store %s: %w: name the --data-dir or --store of a coordinator, or the --out of a run", location, err)
	case errors.Is(err, blob.ErrInUse):
		return exit(run.ExitNotStarted, fmt.Errorf("%w: leave out --store and ask the coordinator that runs there, or end it first", err))
	case errors.Is(err, blob.ErrUnreachable):
		return exit(run.ExitUnreachable, err)
	case errors.Is(err, blob.ErrDenied):
		return exit(run.ExitRefused, err)
	case err != nil:
		return exit(run.ExitUsage, err)
	}
	return errors.Join(fn(repository), closeStore())
}

// offlineRuns lists the runs that have ended, and the ids of those that have not.
func offlineRuns(ctx context.Context, location string, limit int) (views []runView, unfinished []string, err error) {
	err = withStore(ctx, location, false, func(r *result.Repository) error {
		page, err := r.List(ctx, result.Query{Limit: limit})
		for _, rec := range page.Runs {
			views = append(views, offlineView(rec))
		}
		if err != nil {
			return err
		}
		unfinished, err = r.Unfinished(ctx)
		return err
	})
	return views, unfinished, err
}

// leftText tells of runs that a store holds samples of and no result.
func leftText(ids []string) string {
	runs, them := "1 run has", "it"
	if len(ids) != 1 {
		runs, them = fmt.Sprintf("%d runs have", len(ids)), "them"
	}
	const shown = 5
	names := strings.Join(ids[:min(len(ids), shown)], ", ")
	if len(ids) > shown {
		names += ", ..."
	}
	return fmt.Sprintf("%s no result yet (%s): a coordinator is at it, or was killed; then the next `run` or `serve` on this directory closes %s", runs, names, them)
}

func offlineRun(ctx context.Context, location, id string) (v runView, err error) {
	err = withStore(ctx, location, false, func(r *result.Repository) error {
		full, err := coordinator.Resolve(ctx, r, id)
		if err != nil {
			return missing(id, err)
		}
		head, err := r.Load(ctx, full)
		if err != nil {
			return missing(id, err)
		}
		v = offlineView(head.Run)
		return nil
	})
	return v, err
}

func offlineReport(ctx context.Context, location, id, ext string) (data []byte, err error) {
	err = withStore(ctx, location, false, func(r *result.Repository) error {
		full, err := coordinator.Resolve(ctx, r, id)
		if err != nil {
			return missing(id, err)
		}
		data, err = r.Report(ctx, full, ext)
		return missing(id, err)
	})
	return data, err
}

// offlineDelete returns the id of the run that it has deleted.
func offlineDelete(ctx context.Context, location, id string) (full string, err error) {
	err = withStore(ctx, location, true, func(r *result.Repository) error {
		if full, err = coordinator.Resolve(ctx, r, id); err != nil {
			return missing(id, err)
		}
		return missing(id, r.Delete(ctx, nil, full))
	})
	return full, err
}

func missing(id string, err error) error {
	if errors.Is(err, result.ErrNotFound) {
		return usage("run %s: not found in this store: `runs list --store DIR` shows which there are", id)
	}
	return err
}

func offlineView(rec run.Run) runView {
	v := runView{
		ID: rec.ID, Name: rec.Name, Environment: rec.Environment, Labels: notNilMap(rec.Labels), State: string(rec.State), Reason: rec.Reason,
		CreatedAt: rec.CreatedAt, T0At: rec.T0, EndedAt: rec.EndedAt, ElapsedS: rec.Elapsed.Seconds(), PausedS: rec.Paused.Seconds(),
		Scale: rec.Factor, Seed: rec.Seed, Workers: []string{}, Reasons: []string{},
	}
	for _, m := range rec.Owed {
		v.Workers = append(v.Workers, m.Worker)
	}
	if rec.Verdict != nil {
		v.Verdict, v.ExitCode = string(rec.Verdict.Result), rec.Verdict.ExitCode
		for _, r := range rec.Verdict.Reasons {
			v.Reasons = append(v.Reasons, fmt.Sprint(r.Message))
		}
	}
	return v
}
