// Command etcdmember is one member of an etcd cluster for tests. Unlike the etcd that a coordinator
// embeds it listens, and is one of several.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	cfg := embed.NewConfig()
	flags := flag.NewFlagSet("etcdmember", flag.ContinueOnError)
	flags.StringVar(&cfg.Name, "name", "", "name of this member")
	flags.StringVar(&cfg.Dir, "dir", "", "data directory")
	flags.StringVar(&cfg.InitialCluster, "cluster", "", "all members: name=peer URL, comma separated")
	client := flags.String("client", "", "URL for clients")
	peer := flags.String("peer", "", "URL for the other members")
	if err := flags.Parse(args); err != nil {
		return err
	}
	clients, err := url.Parse(*client)
	if err != nil {
		return fmt.Errorf("-client: %w", err)
	}
	peers, err := url.Parse(*peer)
	if err != nil {
		return fmt.Errorf("-peer: %w", err)
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*clients}, []url.URL{*clients}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peers}, []url.URL{*peers}
	cfg.EnableGRPCGateway = false
	cfg.LogLevel = "warn"
	cfg.LogOutputs = []string{"stderr"}
	// Processes are killed here, and never the machine: what was handed to the kernel is not lost.
	cfg.UnsafeNoFsync = true
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer etcd.Close()
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt)
	select {
	case <-told:
		return nil
	case err := <-etcd.Err():
		return err
	case <-etcd.Server.StopNotify():
		return nil
	}
}
