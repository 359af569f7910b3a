package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub"
)

// A rabbit is a node of a cluster: Debian's RabbitMQ with its MQTT plugin, as a child process.
type rabbit struct {
	addr    string // of MQTT
	log     output
	process *exec.Cmd
	ended   chan error
}

// startCluster starts a cluster of so many nodes, which end with the test.
func startCluster(t *testing.T, size int) (nodes []*rabbit) {
	t.Helper()
	server := tool(t, "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server") // the one in the path wants to be its own user
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".erlang.cookie"), []byte("twinpanel"), 0o400); err != nil {
		t.Fatal(err)
	}
	// By it the nodes find each other. Without one that is there they would start one that stays.
	names := &rabbit{addr: freeAddr(t)}
	names.start(t, exec.Command(tool(t, "epmd", "erlang-base"), "-address", "127.0.0.1", "-port", portOf(names.addr)), "port mapper")
	for i := range size {
		n := &rabbit{addr: freeAddr(t)}
		folder := filepath.Join(dir, fmt.Sprint("node", i))
		file := func(name, text string) string {
			path := filepath.Join(folder, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(server)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "HOME="+dir, "RABBITMQ_NODENAME="+fmt.Sprintf("node%d@localhost", i),
			"RABBITMQ_MNESIA_BASE="+folder, "RABBITMQ_LOG_BASE="+folder, "RABBITMQ_CONF_ENV_FILE=/dev/null", "ERL_CRASH_DUMP=/dev/null",
			"RABBITMQ_DIST_PORT="+portOf(freeAddr(t)), "ERL_EPMD_PORT="+portOf(names.addr), "ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_ENABLED_PLUGINS_FILE="+file("plugins", "[rabbitmq_mqtt].\n"),
			"RABBITMQ_CONFIG_FILE="+file("rabbitmq.conf", strings.Join([]string{
				"listeners.tcp = none",
				"mqtt.listeners.tcp.default = " + n.addr,
				"cluster_formation.peer_discovery_backend = classic_config",
				"cluster_formation.classic_config.nodes.1 = node0@localhost", // the others join it
				"disk_free_limit.absolute = 1MB",
				"log.console = true", "log.file = false", ""}, "\n")),
			// The nodes hear each other on loopback alone, and don't spin when they have nothing to do.
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none")
		n.start(t, cmd, fmt.Sprint("node ", i))
		nodes = append(nodes, n)
		if i == 0 {
			n.awaitListening(t)
		}
	}
	for _, n := range nodes {
		n.awaitListening(t)
	}
	return nodes
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// start runs a program in a process group of its own, which ends with the test.
func (n *rabbit) start(t *testing.T, cmd *exec.Cmd, name string) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = &n.log, &n.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // RabbitMQ is started by a script
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.process, n.ended = cmd, make(chan error, 1)
	go func() { n.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("the log of the %s:\n%s", name, n.log.String())
		}
	})
}

func (n *rabbit) awaitListening(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(4 * patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", n.addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-n.ended:
			n.process = nil
			t.Fatalf("a node of the cluster ended: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("a node of the cluster doesn't listen: %v", err)
		}
	}
}

// kill is a node's sudden end.
func (n *rabbit) kill() {
	if n.process == nil {
		return
	}
	_ = syscall.Kill(-n.process.Process.Pid, syscall.SIGKILL)
	<-n.ended
	n.process = nil
}

func (n *rabbit) upstream() *hub.Upstream { return must(hub.ParseUpstream("mqtt://" + n.addr)) }
