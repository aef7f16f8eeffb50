;; What is called around every `memory.grow` of the guest, put there by binaryen's `instrument-memory`. Contract-side.
;;
;; Memory that is refused ends the instance. Otherwise the contract would see how much of it the inputs before it left:
;; it can catch MemoryError. `unreachable` is what the stubs of the system calls do, so here it is another trap.
(module
  (func (export "memory_grow_pre") (param $where i32) (param $pages i32) (result i32)
    (local.get $pages))
  (func (export "memory_grow_post") (param $where i32) (param $before i32) (result i32)
    (if (i32.eq (local.get $before) (i32.const -1))
      (then (drop (i32.div_u (i32.const 1) (i32.const 0)))))
    (local.get $before)))
