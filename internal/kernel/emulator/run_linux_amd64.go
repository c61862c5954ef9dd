package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Report is what the emulator saw.
type Report struct {
	ExitCode     int            // of the program; 128 + its number when a signal ended it
	Instructions map[string]int // that were executed, by mnemonic
	Threads      int            // that executed any
	Unreleased   int            // threads that were left with tiles in use
	Refused      []string       // instructions that the CPU would refuse, and how
}

// Total is the number of instructions that were executed.
func (r *Report) Total() int {
	sum := 0
	for _, n := range r.Instructions {
		sum += n
	}
	return sum
}

// UnavailableError says that this system lets no process trace its child.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "trace a child process: " + e.Err.Error() }

func (e *UnavailableError) Unwrap() error { return e.Err }

// Run runs a program under the emulator until it ends; its standard output and error go to output.
// The arguments begin with the program's name. When ctx is done the program is killed. Where ptrace
// is not permitted the error is an *UnavailableError.
func Run(
	ctx context.Context, program string, arguments, environment []string, output *os.File,
) (*Report, error) {
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	process, err := os.StartProcess(program, arguments, &os.ProcAttr{
		Env: environment, Files: []*os.File{null, output, output},
		Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		return nil, &UnavailableError{err}
	}
	if err != nil {
		return nil, err
	}
	pid := process.Pid
	_ = process.Release() // this thread waits for it
	t := &tracer{
		pid: pid, threads: map[int]*tiles{},
		report: &Report{Instructions: map[string]int{}},
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	defer stop()
	if err := t.trace(); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return nil, fmt.Errorf("emulate AMX for %s: %w", program, err)
	}
	return t.report, ctx.Err()
}

// tracer follows one program.
type tracer struct {
	pid     int
	threads map[int]*tiles
	report  *Report
}

// trace follows the program from its first stop, before its first instruction, to its end.
func (t *tracer) trace() error {
	var status syscall.WaitStatus
	if _, err := wait(t.pid, &status); err != nil {
		return err
	}
	if !status.Stopped() {
		return fmt.Errorf("the program ended before it began: status %#x", status)
	}
	const options = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(t.pid, options); err != nil {
		return &UnavailableError{err}
	}
	if err := syscall.PtraceCont(t.pid, 0); err != nil {
		return err
	}
	for {
		thread, err := wait(-1, &status)
		if err != nil {
			return err
		}
		if status.Stopped() {
			t.proceed(thread, status)
			continue
		}
		t.end(thread)
		if thread == t.pid {
			t.report.ExitCode = status.ExitStatus()
			if status.Signaled() {
				t.report.ExitCode = 128 + int(status.Signal())
			}
			return nil
		}
	}
}

// wait waits for a change of a child of this very thread.
func wait(pid int, status *syscall.WaitStatus) (int, error) {
	for {
		thread, err := syscall.Wait4(pid, status, unix.WALL|unix.WNOTHREAD, nil)
		if err != syscall.EINTR {
			return thread, err
		}
	}
}

// end forgets a thread that has ended; another one may get its number. The first thread of a
// program ends last.
func (t *tracer) end(thread int) {
	if state := t.threads[thread]; state != nil && state.configured {
		t.report.Unreleased++
	}
	delete(t.threads, thread)
}

// proceed lets a stopped thread go on, with the signal that it stopped for or without it. That the
// thread is no more, killed by another one, is no error.
func (t *tracer) proceed(thread int, status syscall.WaitStatus) {
	signal := status.StopSignal()
	switch {
	case signal == syscall.SIGTRAP && status.TrapCause() > 0: // a new thread was made
		signal = 0
	case signal == syscall.SIGSTOP: // a new thread begins
		signal = 0
	case signal == syscall.SIGILL:
		signal = t.emulate(thread)
	}
	_ = syscall.PtraceCont(thread, int(signal))
}

// emulate executes the instruction that a thread stands before, and those of AMX that follow it,
// for a stop of the thread takes longer than they do. It returns the signal to deliver.
func (t *tracer) emulate(thread int) syscall.Signal {
	var registers syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(thread, &registers); err != nil {
		return syscall.SIGILL
	}
	code := make([]byte, 16*codeMax)
	code = code[:readCode(thread, registers.Rip, code)]
	i, ok := decode(code)
	if !ok {
		return syscall.SIGILL
	}
	state := t.threads[thread]
	if state == nil {
		state = new(tiles)
		t.threads[thread] = state
		t.report.Threads++
	}
	signal := syscall.Signal(0)
	for general := generalRegisters(&registers); ok; i, ok = decode(code) {
		if err := i.execute(state, foreign(thread), &general); err != nil {
			t.report.Refused = append(t.report.Refused,
				fmt.Sprintf("%s at %#x: %v", i.operation, registers.Rip, err))
			signal = syscall.SIGSEGV
			if errors.Is(err, errUndefined) {
				signal = syscall.SIGILL
			}
			break
		}
		t.report.Instructions[i.operation.String()]++
		registers.Rip += uint64(i.length)
		code = code[i.length:]
	}
	if err := syscall.PtraceSetRegs(thread, &registers); err != nil {
		return syscall.SIGILL
	}
	return signal
}

// execute executes the instruction with a thread's registers.
func (i instruction) execute(state *tiles, m memory, general *[16]uint64) error {
	var address, distance uint64
	switch i.operation {
	case configure, load, store:
		address = general[i.base] + uint64(i.offset)
		if i.index != noRegister {
			distance = general[i.index] * uint64(i.scale)
		}
	}
	if i.operation == configure { // the index is part of its address
		address += distance
	}
	return state.execute(i, m, address, distance)
}

// generalRegisters are in the order of their numbers.
func generalRegisters(r *syscall.PtraceRegs) [16]uint64 {
	return [...]uint64{
		r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi,
		r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15,
	}
}

// readCode reads the bytes at an address of a thread and returns how many there are.
func readCode(thread int, address uint64, code []byte) int {
	local := []unix.Iovec{{Base: &code[0]}}
	local[0].SetLen(len(code))
	remote := []unix.RemoteIovec{{Base: uintptr(address), Len: len(code)}}
	n, err := unix.ProcessVMReadv(thread, local, remote, 0)
	if err != nil {
		return 0
	}
	return n
}

// foreign is the memory of a thread of another process. It is read and written with the rights that
// the thread has: a protected page is a fault.
type foreign int

func (thread foreign) read(rows [][]byte, address, distance uint64) error {
	return thread.move(unix.ProcessVMReadv, rows, address, distance)
}

func (thread foreign) write(rows [][]byte, address, distance uint64) error {
	return thread.move(unix.ProcessVMWritev, rows, address, distance)
}

func (thread foreign) move(
	move func(pid int, local []unix.Iovec, remote []unix.RemoteIovec, flags uint) (int, error),
	rows [][]byte, address, distance uint64,
) error {
	local, remote := make([]unix.Iovec, len(rows)), make([]unix.RemoteIovec, len(rows))
	size := 0
	for i, row := range rows {
		local[i].Base = &row[0]
		local[i].SetLen(len(row))
		remote[i] = unix.RemoteIovec{Base: uintptr(address + uint64(i)*distance), Len: len(row)}
		size += len(row)
	}
	n, err := move(int(thread), local, remote, 0)
	if err == nil && n < size {
		err = syscall.EFAULT
	}
	if err != nil {
		return fmt.Errorf("#PF: %w", err)
	}
	return nil
}
