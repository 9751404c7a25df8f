package agent

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// TestDialerTriesOften: a coordinator that was away for a while is found soon after it is back, however often it
// was tried before. By itself gRPC would wait longer and longer: nine seconds for the sixth attempt.
func TestDialerTriesOften(t *testing.T) {
	attempts := make(chan struct{}, 100)
	d := &dialer{addresses: []string{"127.0.0.1:1"}, creds: insecure.NewCredentials(), extra: []grpc.DialOption{
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			attempts <- struct{}{}
			return nil, errors.New("connection refused")
		}),
	}}
	defer d.close()
	conn, err := d.conn()
	if err != nil {
		t.Fatal(err)
	}
	limit := time.After(7 * time.Second)
	for range 6 {
		conn.Connect()
		select {
		case <-attempts:
		case <-limit:
			t.Fatal("it is not tried often enough")
		}
	}
}
