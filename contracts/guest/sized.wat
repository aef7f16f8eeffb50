;; What all modules get in the place of the C library's functions, @LIBC@ being its name. Contract-side.
;;
;; A size that no instance has ends it, as memory that is refused does. The library would refuse it too, but of the
;; largest ones some by asking for memory and some without, depending on what lies free by then: a contract would see
;; by that, as MemoryError or not, what the inputs before it left. 134217728: MEMORY_BYTES in contracts/limits.py.
(module
  (import "@LIBC@" "@LIBC@|malloc" (func $malloc (param i32) (result i32)))
  (import "@LIBC@" "@LIBC@|calloc" (func $calloc (param i32 i32) (result i32)))
  (import "@LIBC@" "@LIBC@|realloc" (func $realloc (param i32 i32) (result i32)))
  (func $check (param $bytes i64)
    (if (i64.gt_u (local.get $bytes) (i64.const 134217728))
      (then (drop (i32.div_u (i32.const 1) (i32.const 0))))))
  (func (export "malloc") (param $bytes i32) (result i32)
    (call $check (i64.extend_i32_u (local.get $bytes)))
    (call $malloc (local.get $bytes)))
  (func (export "calloc") (param $count i32) (param $each i32) (result i32)
    (call $check (i64.mul (i64.extend_i32_u (local.get $count)) (i64.extend_i32_u (local.get $each))))
    (call $calloc (local.get $count) (local.get $each)))
  (func (export "realloc") (param $block i32) (param $bytes i32) (result i32)
    (call $check (i64.extend_i32_u (local.get $bytes)))
    (call $realloc (local.get $block) (local.get $bytes))))
