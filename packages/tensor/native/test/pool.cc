// The threads of the addon, and a count of what they share: a comparison of one thread with three says nothing about a kernel
// whose work never was large enough.
#define runParallel runOnPool
#include "../pool.cc"
#undef runParallel

std::atomic<int64_t> sharedRuns{0};

void runParallel(int64_t tasks, int64_t grain, void (*task)(void*, int64_t, int64_t), void* context) {
  sharedRuns++;
  runOnPool(tasks, grain, task, context);
}
