// One pool of threads for the process. Work is split by range; no result may depend on how.
#pragma once
#include <cstdint>

/** The number of threads that compute, the caller among them. */
int threadCount();

/** Sets it, from 1 to 256. Not while kernels run. */
void setThreadCount(int count);

/** Runs `task(context, begin, end)` over disjoint ranges that cover 0..tasks; returns when all are done. */
void runParallel(int64_t tasks, int64_t grain, void (*task)(void*, int64_t, int64_t), void* context);

/** What is worth handing to another thread: about 20 microseconds of vector arithmetic. */
constexpr int64_t PARALLEL_COST = 1 << 18;

/**
 * Runs f(begin, end) over disjoint ranges that cover 0..tasks. `costPerTask` is about the number of scalar operations of one
 * task: work too small to be shared stays on the calling thread.
 */
template <class F>
void parallelFor(int64_t tasks, int64_t costPerTask, F f) {
  const int64_t cost = costPerTask < 1 ? 1 : costPerTask;
  if (tasks <= 1 || threadCount() == 1 || tasks * cost < 2 * PARALLEL_COST) {
    if (tasks > 0) f(int64_t{0}, tasks);
    return;
  }
  // Several ranges a thread, so that one that is held up does not hold up the rest.
  const int64_t ranges = int64_t{threadCount()} * 4;
  int64_t grain = (tasks + ranges - 1) / ranges;
  const int64_t least = (PARALLEL_COST / 4 + cost - 1) / cost;
  if (grain < least) grain = least;
  runParallel(tasks, grain, [](void* context, int64_t begin, int64_t end) { (*static_cast<F*>(context))(begin, end); }, &f);
}

/** Runs f(task) for each of 0..tasks, which are large enough not to be run in ranges. */
template <class F>
void parallelTasks(int64_t tasks, int64_t costPerTask, F f) {
  if (tasks <= 1 || threadCount() == 1 || tasks * costPerTask < 2 * PARALLEL_COST) {
    for (int64_t task = 0; task < tasks; task++) f(task);
    return;
  }
  runParallel(tasks, 1, [](void* context, int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) (*static_cast<F*>(context))(task);
  }, &f);
}
