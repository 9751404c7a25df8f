package lease

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Evict ends every term of the cluster by revoking the leases of its candidates. It is for an
// embedded etcd right after its start and for nothing else: there the lock on the data directory
// proves that whoever held a term is dead, and nobody should wait for its lease to run out.
func Evict(ctx context.Context, client *clientv3.Client) error {
	resp, err := client.Get(ctx, electionPrefix, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("evict candidates: %w", err)
	}
	for _, kv := range resp.Kvs {
		if _, err := client.Revoke(ctx, clientv3.LeaseID(kv.Lease)); err != nil && !isGone(err) {
			return fmt.Errorf("evict candidate %s: %w", kv.Key, err)
		}
	}
	return nil
}
