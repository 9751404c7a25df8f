// Package cluster tests a whole cluster: the built programs as processes on loopback, namely three
// members of etcd, three coordinators and four workers, and a target that counts and knows nothing
// of them. Parts of it are killed, frozen and cut off while a run goes on, and what the target counted
// is compared with what the report says.
//
// TestContainers does the same with docker-compose.yml, where there is a container engine.
//
// What happens when is drawn from a seed, which is printed. The same seed draws the same instants; how
// the processes are scheduled around them is the machine's.
package cluster
