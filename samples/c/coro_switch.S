/*
 * void co_switch(void **save_sp, void *load_sp): parks the caller and resumes another.
 *
 * The registers that a call must preserve are pushed, and the stack pointer is kept in *save_sp. So
 * a parked task's registers are at its saved sp, upwards:
 *
 *   x86_64    r15 r14 r13 r12 rbx rbp, then the return address; the caller's rsp is sp + 56
 *   aarch64   x19 ... x28, x29, x30 (the return address), d8 ... d15; the caller's sp is sp + 160
 *
 * The CFI holds at every instruction, so an unwinder that starts inside gets out.
 * The floating point control words are not switched: tasks do not change them.
 */
#if defined(__x86_64__)
        .text
        .globl  co_switch
        .hidden co_switch
        .type   co_switch, @function
co_switch:
        .cfi_startproc
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        push    %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        push    %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        push    %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        push    %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        mov     %rsp, (%rdi)
        mov     %rsi, %rsp
        pop     %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        pop     %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        pop     %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        pop     %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        ret
        .cfi_endproc
        .size   co_switch, . - co_switch

/* Where a new task begins: r12 is the task. Nothing called it, and the CFI says so. The nop is
 * there because an unwinder looks up the address before the one a frame returns to. */
        .globl  co_begin
        .hidden co_begin
        .type   co_begin, @function
        .cfi_startproc
        .cfi_undefined rip
        nop
co_begin:
        mov     %r12, %rdi
        call    co_task_main
        ud2
        .cfi_endproc
        .size   co_begin, . - co_begin

#elif defined(__aarch64__)
        .text
        .globl  co_switch
        .hidden co_switch
        .type   co_switch, %function
co_switch:
        .cfi_startproc
        sub     sp, sp, #160
        .cfi_adjust_cfa_offset 160
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x2, sp
        str     x2, [x0]
        mov     sp, x1
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        add     sp, sp, #160
        .cfi_adjust_cfa_offset -160
        ret
        .cfi_endproc
        .size   co_switch, . - co_switch

/* Where a new task begins: x19 is the task. */
        .globl  co_begin
        .hidden co_begin
        .type   co_begin, %function
        .cfi_startproc
        .cfi_undefined x30
        nop
co_begin:
        mov     x0, x19
        bl      co_task_main
        brk     #1
        .cfi_endproc
        .size   co_begin, . - co_begin
#else
#error "coro: no switch for this architecture"
#endif

        .section .note.GNU-stack, "", %progbits
