package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// settleTimeout bounds the waits for signals to take effect on processes that are not our children.
const settleTimeout = 5 * time.Second

// process is one run of a server. Its methods may be called from several goroutines.
type process struct {
	cmd   *exec.Cmd
	self  relative      // written by watch before spawn returns
	done  chan struct{} // closed when the process has been reaped
	ended atomic.Bool   // set by whoever ends it on purpose, before the signal
}

// spawn starts a command with its output in the log file and a goroutine that reaps it. The goroutine ends with the
// process; wait on done to join it.
func spawn(cmd *exec.Cmd, log *os.File) (*process, error) {
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownGroup(cmd.SysProcAttr)
	bindToUs(cmd.SysProcAttr)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.watch(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	return p, nil
}

// ownGroup takes a child out of our process group, so that Ctrl-C at a terminal reaches the launcher alone, which then
// stops the servers in order.
func ownGroup(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Setpgid = true
	return attr
}

// watch starts the process and waits for its end, all on one OS thread. The kernel sends Pdeathsig when the *thread*
// that forked the child exits, not the process it belongs to, and the Go runtime ends threads as it likes. This
// goroutine keeps its thread locked until the child is gone, so the signal can only mean that we have died.
func (p *process) watch(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	p.self = identify(p.cmd.Process.Pid)
	started <- nil
	// How it ended is in cmd.ProcessState.
	_ = p.cmd.Wait()
}

func (p *process) pid() int {
	return p.cmd.Process.Pid
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal reaches the process itself. It cannot hit a stranger with a recycled pid: os.Process knows when the process
// has been reaped.
func (p *process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// freeze stops the process and returns its children. Stopping comes first because a stopped parent neither forks new
// children nor reaps dead ones, so the list is complete and none of its pids can be recycled until the parent goes on.
func (p *process) freeze() ([]relative, error) {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("stopping pid %d: %w", p.pid(), err)
	}
	awaitStopped(p.pid())
	return p.children()
}

// children lists the children of the process, none when it has ended: by then its pid may be somebody else's.
func (p *process) children() ([]relative, error) {
	rs, err := childrenOf(p.pid())
	if !p.self.alive() {
		return nil, nil
	}
	return rs, err
}

// pause stops the process and its children where they stand.
func (p *process) pause() error {
	children, err := p.freeze()
	if err != nil {
		return err
	}
	signalAll(children, syscall.SIGSTOP)
	for _, c := range children {
		awaitStopped(c.pid)
	}
	return nil
}

// resume lets the children go on before the parent, which would reap and replace them.
func (p *process) resume() error {
	children, err := p.children()
	if err != nil {
		return err
	}
	signalAll(children, syscall.SIGCONT)
	return p.signal(syscall.SIGCONT)
}

// kill ends the process and its children with SIGKILL, reaps the process and waits until the children are gone: they
// hold on to sockets and shared memory that the next start needs.
func (p *process) kill() error {
	p.ended.Store(true)
	children, err := p.freeze()
	signalAll(children, syscall.SIGKILL)
	if e := p.signal(syscall.SIGKILL); e != nil {
		return errors.Join(err, fmt.Errorf("killing pid %d: %w", p.pid(), e))
	}
	<-p.done
	awaitGone(children)
	return err
}

func signalAll(rs []relative, sig syscall.Signal) {
	for _, r := range rs {
		// A child that has ended in the meantime is what the signal wanted.
		_ = syscall.Kill(r.pid, sig)
	}
}

// awaitGone waits until the processes have ended. Being no children of ours they are reaped by init, or not at all
// where init does not care, so a zombie counts as gone.
func awaitGone(rs []relative) {
	for _, r := range rs {
		poll(func() bool { return !r.alive() })
	}
}

func awaitStopped(pid int) {
	poll(func() bool { return stopped(pid) })
}

// poll waits for what no event announces: the state of processes that are not our children.
func poll(cond func() bool) {
	for deadline := time.Now().Add(settleTimeout); !cond() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}
