// Package emulator runs a test program on a CPU without AMX and executes the instructions of AMX
// for it, so that those kernels are tested on every x86-64 machine with Linux.
//
// Such a CPU raises #UD at them, which Linux turns into SIGILL. The emulator is the tracer of the
// program (ptrace): it sees the signal first, reads the instruction, registers and memory, does
// what the Intel SDM says (volume 2, chapter 3 and volume 1, chapter 18), moves the thread on and
// swallows the signal. Tiles belong to a thread, as in the CPU; what the CPU refuses, the program
// gets as the signal it would get there: SIGILL for #UD, SIGSEGV for #GP and #PF.
//
// Sums of bf16 are those of the SDM's pseudocode to the last bit: fused multiply-adds rounded to
// nearest even, denormal factors and results taken as zero, even and odd pairs added apart; which
// NaN a sum is is left open. That a CPU gives the same bits is the SDM's word and not tested here,
// so tests must compare with a bound.
package emulator
