// Memory of tensors: on cache lines, and large pieces straight from the system, on large pages where it has them. A piece goes back
// to the system when it is released: malloc would keep it, in pieces that fit nothing else.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#define SOFT_TOKENS_MAPS 1
#endif

constexpr size_t LINE = 64;
constexpr size_t LARGE_PAGE = size_t{1} << 21;
/** From this size on the system is asked. */
constexpr size_t MAPPED = size_t{1} << 18;

struct Memory {
  char* at = nullptr;
  size_t size = 0;

  static Memory allocate(size_t size) {
#if SOFT_TOKENS_MAPS
    if (size >= MAPPED) return map(size);
#endif
    return {static_cast<char*>(::operator new(size, std::align_val_t{LINE}, std::nothrow)), size};
  }

  void release() {
    if (at == nullptr) return;
#if SOFT_TOKENS_MAPS
    if (size >= MAPPED)
      munmap(at, size);
    else
#endif
      ::operator delete(at, std::align_val_t{LINE});
    at = nullptr;
  }

#if SOFT_TOKENS_MAPS
  static Memory map(size_t bytes) {
    constexpr size_t PAGE = 1 << 14;  // a multiple of every page size in use
    const size_t size = (bytes + PAGE - 1) / PAGE * PAGE;
    // Large pages start at multiples of their size: room for one more, and what is not needed of it given back.
    const size_t slack = size >= 2 * LARGE_PAGE ? LARGE_PAGE : 0;
    void* got = mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) return {};
    char* at = static_cast<char*>(got);
    if (slack == 0) return {at, size};
    const size_t head = (LARGE_PAGE - reinterpret_cast<uintptr_t>(at) % LARGE_PAGE) % LARGE_PAGE;
    if (head > 0) munmap(at, head);
    at += head;
    if (slack > head) munmap(at + size, slack - head);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    madvise(at, size / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#endif
    return {at, size};
  }
#endif
};

/** The memory of one ArrayBuffer: a line that leads back here, then the values. Lives as long as the buffer's object. */
class Block {
 public:
  explicit Block(size_t bytes) : memory(Memory::allocate(bytes + LINE)) {
    Block* self = this;
    if (memory.at != nullptr) std::memcpy(memory.at, &self, sizeof self);
  }
  ~Block() { memory.release(); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  char* values() const { return memory.at == nullptr ? nullptr : memory.at + LINE; }
  static Block* of(void* values) {
    Block* block;
    std::memcpy(&block, static_cast<char*>(values) - LINE, sizeof block);
    return block;
  }
  /** Takes the memory over: the block has none from then on. */
  Memory take() {
    const Memory taken = memory;
    memory = {};
    return taken;
  }
  void put(Memory given) { memory = given; }

 private:
  Memory memory;
};
