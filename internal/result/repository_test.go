package result

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"proofload/internal/result/blob"
	"proofload/internal/run"
)

func TestCreateIsIdempotentByRequest(t *testing.T) {
	term := newCluster().elect()
	repo := NewRepository(term.cluster, &blob.Memory{})
	first, second := newRun("01A"), newRun("01B")
	first.RequestID, second.RequestID = "q", "q"
	if got, fresh, err := repo.Create(t.Context(), term, first); err != nil || !fresh || got.ID != "01A" {
		t.Fatalf("Create = %s, %v, %v", got.ID, fresh, err)
	}
	if got, fresh, err := repo.Create(t.Context(), term, second); err != nil || fresh || got.ID != "01A" {
		t.Errorf("repeated Create = %s, %v, %v; want the first run", got.ID, fresh, err)
	}
	if _, err := repo.Load(t.Context(), "01B"); !errors.Is(err, ErrNotFound) {
		t.Errorf("second run: %v, want ErrNotFound", err)
	}
}

func TestCreateWhoseReplyIsLost(t *testing.T) {
	for _, request := range []string{"", "q"} {
		t.Run("request "+request, func(t *testing.T) {
			term := newCluster().elect()
			repo := NewRepository(term.cluster, &blob.Memory{})
			term.commit = func(apply func() (int64, error)) (int64, error) { _, _ = apply(); return 0, ErrUnknown }
			rec := newRun("01A")
			rec.RequestID = request
			if got, fresh, err := repo.Create(t.Context(), term, rec); err != nil || !fresh || got.ID != "01A" {
				t.Errorf("Create = %s, %v, %v", got.ID, fresh, err)
			}
		})
	}
}

func TestCreateErrors(t *testing.T) {
	cluster := newCluster()
	old := cluster.elect()
	repo := NewRepository(cluster, &blob.Memory{})
	for _, id := range []string{"", "a/b", "..", "x y"} {
		if _, _, err := repo.Create(t.Context(), old, newRun(id)); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Create(%q): %v, want ErrKey", id, err)
		}
	}
	cluster.elect()
	if _, _, err := repo.Create(t.Context(), old, newRun("r")); !errors.Is(err, ErrFenced) {
		t.Errorf("Create in an old term: %v, want ErrFenced", err)
	}
}

// populate creates runs a0 ... a9: even ones are final, those divisible by 4 published.
func populate(t *testing.T) (*cluster, *blob.Memory, *term) {
	t.Helper()
	cluster, blobs := newCluster(), &blob.Memory{}
	term := cluster.elect()
	repo := NewRepository(cluster, blobs)
	for i := range 10 {
		rec := newRun(fmt.Sprintf("a%d", i))
		rec.Labels = map[string]string{"half": fmt.Sprint(i / 5)}
		rec.RequestID = fmt.Sprintf("q%d", i)
		if _, _, err := repo.Create(t.Context(), term, rec); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			continue
		}
		c := reopen(t, term, blobs, rec.ID)
		mustCommit(t, c, Update{Segment: sealed(1)})
		if err := c.Finalise(t.Context(), Final{Run: finished(rec), Reports: map[string][]byte{"json": []byte(rec.ID)}}); err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			if err := repo.Publish(t.Context(), rec.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cluster, blobs, term
}

func ids(runs []run.Run) []string {
	var out []string
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}

func TestList(t *testing.T) {
	cluster, blobs, _ := populate(t)
	online, offline := NewRepository(cluster, blobs), NewRepository(nil, blobs)
	for name, tc := range map[string]struct {
		repo  *Repository
		query Query
		want  []string
		next  string
	}{
		"newest first":     {online, Query{Limit: 3}, []string{"a9", "a8", "a7"}, "a7"},
		"next page":        {online, Query{Limit: 3, Token: "a7"}, []string{"a6", "a5", "a4"}, "a4"},
		"last page":        {online, Query{Limit: 3, Token: "a3"}, []string{"a2", "a1", "a0"}, ""},
		"by state":         {online, Query{States: []run.State{run.Running}}, []string{"a9", "a7", "a5", "a3", "a1"}, ""},
		"by result":        {online, Query{Results: []run.Result{run.Pass}, Limit: 2}, []string{"a8", "a6"}, "a6"},
		"by label":         {online, Query{Labels: map[string]string{"half": "0"}}, []string{"a4", "a3", "a2", "a1", "a0"}, ""},
		"by name":          {online, Query{Name: "other"}, nil, ""},
		"offline":          {offline, Query{}, []string{"a8", "a4", "a0"}, ""},
		"offline by state": {offline, Query{States: []run.State{run.Failed}}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := tc.repo.List(t.Context(), tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(page.Runs); !slices.Equal(got, tc.want) || page.Next != tc.next {
				t.Errorf("List = %q, next %q; want %q, %q", got, page.Next, tc.want, tc.next)
			}
		})
	}
}

func TestBlobsOfAnotherLifeAreListedBesideHeads(t *testing.T) {
	_, blobs, _ := populate(t)
	repo := NewRepository(newCluster(), blobs) // etcd was set up anew
	page, err := repo.List(t.Context(), Query{})
	if got := ids(page.Runs); err != nil || !slices.Equal(got, []string{"a8", "a4", "a0"}) {
		t.Errorf("List = %q, %v", got, err)
	}
}

func TestKilledRunIsListedAndCanBeClosed(t *testing.T) {
	cluster, blobs := newCluster(), &blob.Memory{}
	repo, c := created(t, cluster.elect(), blobs, "r")
	mustCommit(t, c, Update{Segment: sealed(1)})
	// kill -9; the next start:
	term := cluster.elect()
	left, damaged, err := repo.Open(t.Context())
	if err != nil || len(damaged) > 0 || len(left) != 1 || left[0].Run.ID != "r" {
		t.Fatalf("Open = %v, %v, %v", left, damaged, err)
	}
	failed := left[0].Run
	failed.State = run.Failed
	next := reopen(t, term, blobs, "r")
	if err := next.Finalise(t.Context(), Final{Run: failed}); err != nil {
		t.Fatal(err)
	}
	if err := repo.Publish(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	offline := NewRepository(nil, blobs)
	page, err := offline.List(t.Context(), Query{States: []run.State{run.Failed}})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("List = %v, %v", page, err)
	}
	if got := texts(t, offline, "r", 0); len(got) != 1 {
		t.Errorf("segments = %q", got)
	}
}

func TestDelete(t *testing.T) {
	cluster, blobs, term := populate(t)
	repo := NewRepository(cluster, blobs)
	if err := repo.Delete(t.Context(), term, "a1"); !errors.Is(err, ErrActive) {
		t.Errorf("delete of a running run: %v, want ErrActive", err)
	}
	if err := repo.Delete(t.Context(), term, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of no run: %v, want ErrNotFound", err)
	}
	for _, id := range []string{"a0", "a2"} { // published and not
		if err := repo.Delete(t.Context(), term, id); err != nil {
			t.Errorf("delete %s: %v", id, err)
		}
		if _, err := repo.Load(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("load of deleted %s: %v", id, err)
		}
		for _, dir := range []string{resultDir(id), reportDir(id)} {
			if keys, _ := keysBelow(t.Context(), blobs, dir); len(keys) > 0 {
				t.Errorf("left of %s: %q", id, keys)
			}
		}
	}
	if _, err := cluster.Get(t.Context(), requestKey("q0")); !errors.Is(err, ErrNotFound) {
		t.Errorf("request of a deleted run: %v", err)
	}
	if err := NewRepository(nil, blobs).Delete(t.Context(), nil, "a4"); err != nil {
		t.Errorf("offline delete: %v", err)
	}
}

func TestRepairFinishesWhatADeadLeaderBegan(t *testing.T) {
	cluster, blobs, term := populate(t)
	repo := NewRepository(cluster, blobs)
	failing := *term
	calls := 0
	failing.commit = func(apply func() (int64, error)) (int64, error) {
		if calls++; calls > 1 {
			return 0, errNetwork
		}
		return apply()
	}
	if err := repo.Delete(t.Context(), &failing, "a0"); !errors.Is(err, errNetwork) {
		t.Fatalf("Delete: %v", err)
	}
	page, err := repo.List(t.Context(), Query{})
	if err != nil || slices.Contains(ids(page.Runs), "a0") {
		t.Errorf("a run being deleted is listed: %q, %v", ids(page.Runs), err)
	}
	open, _, err := repo.Open(t.Context())
	if err != nil || len(open) != 10 {
		t.Fatalf("%d runs are open, %v", len(open), err)
	}
	for _, head := range open {
		if !head.final() {
			continue
		}
		if err := repo.Repair(t.Context(), term, head); err != nil {
			t.Errorf("repair %s: %v", head.Run.ID, err)
		}
		if err := repo.Settle(t.Context(), term, head.Run.ID); err != nil {
			t.Errorf("settle %s: %v", head.Run.ID, err)
		}
	}
	offline, err := NewRepository(nil, blobs).List(t.Context(), Query{})
	if got := ids(offline.Runs); err != nil || !slices.Equal(got, []string{"a8", "a6", "a4", "a2"}) {
		t.Errorf("published are %q, %v", got, err)
	}
	if open, _, err = repo.Open(t.Context()); err != nil || len(open) != 5 {
		t.Errorf("%d runs are open after the repair, %v", len(open), err)
	}
}

// TestDamagedHeadHidesNoOther: a run whose record or archive cannot be read is shown as such, and the
// others are listed, carried on and repaired all the same.
func TestDamagedHeadHidesNoOther(t *testing.T) {
	cluster, blobs, term := populate(t)
	if _, err := term.Commit(t.Context(), []Write{{Key: HeadKey("a3"), Value: []byte("{"), IfRevision: AnyRevision}}); err != nil {
		t.Fatal(err)
	}
	if err := blobs.Put(t.Context(), resultKey("b1"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	repo := NewRepository(cluster, blobs)
	page, err := repo.List(t.Context(), Query{})
	if err != nil || len(page.Runs) != 11 {
		t.Fatalf("%q are listed, %v", ids(page.Runs), err)
	}
	for _, rec := range page.Runs {
		if damaged := rec.ID == "a3" || rec.ID == "b1"; damaged != strings.Contains(rec.Reason, "cannot be read") {
			t.Errorf("run %s: reason %q", rec.ID, rec.Reason)
		}
	}
	open, damaged, err := repo.Open(t.Context())
	if err != nil || len(open) != 9 || len(damaged) != 1 {
		t.Errorf("%d runs are open and %v damaged, %v", len(open), damaged, err)
	}
}

// TestStartReadsOnlyWhatIsOpen: what a leader reads at its start does not grow with the runs that ended.
func TestStartReadsOnlyWhatIsOpen(t *testing.T) {
	cluster, blobs, term := populate(t)
	repo := NewRepository(cluster, blobs)
	for i := 0; i < 10; i += 2 {
		if err := repo.Settle(t.Context(), term, fmt.Sprintf("a%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	counted := &counting{Reader: cluster}
	open, _, err := NewRepository(counted, blobs).Open(t.Context())
	if err != nil || len(open) != 5 || counted.records != 10 {
		t.Errorf("%d runs are open, %d records were read for them, %v", len(open), counted.records, err)
	}
}

// counting counts the records that are read.
type counting struct {
	Reader
	records int
}

func (c *counting) Get(ctx context.Context, key string) (Record, error) {
	c.records++
	return c.Reader.Get(ctx, key)
}

func (c *counting) Page(ctx context.Context, prefix, after string, limit int) ([]Record, bool, error) {
	page, more, err := c.Reader.Page(ctx, prefix, after, limit)
	c.records += len(page)
	return page, more, err
}

func FuzzDecodeHead(f *testing.F) {
	f.Add([]byte(`{"version":1,"next":1,"oldest":1}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":2,"next":1,"oldest":1,"roster":"w"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		head, err := decodeHead("k", data)
		if err == nil && (head.Oldest == 0 || head.Oldest > head.Next) {
			t.Errorf("accepted %+v", head)
		}
	})
}
