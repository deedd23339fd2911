// The threads of parallel.h: started at the first shared work, asleep between two. A caller that finds them busy with the work
// of another (a worker thread of the same process) computes alone: the numbers are the same.
#include "parallel.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace {

struct Job {
  void (*task)(void*, int64_t, int64_t);
  void* context;
  int64_t tasks;
  int64_t grain;
  std::atomic<int64_t> next{0};
  std::mutex failing;
  std::exception_ptr error;  // the first, if any: a task may find no memory for its scratch
};

/** How often a thread looks for work before it sleeps: some tens of microseconds, less than waking takes. */
constexpr int SPINS = 4000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void runRanges(Job& job) {
  for (;;) {
    const int64_t begin = job.next.fetch_add(job.grain, std::memory_order_relaxed);
    if (begin >= job.tasks) return;
    const int64_t end = begin + job.grain < job.tasks ? begin + job.grain : job.tasks;
    try {
      job.task(job.context, begin, end);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(job.failing);
      if (!job.error) job.error = std::current_exception();
      job.next.store(job.tasks, std::memory_order_relaxed);  // nobody begins another
    }
  }
}

/** Never destroyed: threads may outlast the statics of the process, and an environment that loads this again shares it. */
struct Pool {
  std::mutex owner;  // held by the caller whose work runs
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<int> count{1};
  int started = 0;  // threads besides the caller
  std::atomic<Job*> job{nullptr};
  std::atomic<uint64_t> generation{0};
  std::atomic<int> helpers{0};  // threads that look at the job

  void loop(int index) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < SPINS && generation.load(std::memory_order_acquire) == seen; spin++) relax();
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      seen = generation.load(std::memory_order_acquire);
      if (index >= count.load(std::memory_order_relaxed)) continue;
      helpers.fetch_add(1, std::memory_order_seq_cst);
      if (Job* current = job.load(std::memory_order_seq_cst)) runRanges(*current);
      helpers.fetch_sub(1, std::memory_order_seq_cst);
    }
  }

  void start() {
    while (started < count.load() - 1) {
      const int index = started + 1;
      try {
        std::thread([this, index] { loop(index); }).detach();
      } catch (const std::system_error&) {
        return;  // the system gives no more threads: those that are there do the work
      }
      started = index;
    }
  }
};

Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

thread_local bool insideTask = false;

}  // namespace

int threadCount() { return pool().count.load(std::memory_order_relaxed); }

void setThreadCount(int count) {
  std::lock_guard<std::mutex> lock(pool().owner);
  pool().count = count < 1 ? 1 : count > 256 ? 256 : count;
}

void runParallel(int64_t tasks, int64_t grain, void (*task)(void*, int64_t, int64_t), void* context) {
  Pool& p = pool();
  std::unique_lock<std::mutex> owner(p.owner, std::defer_lock);
  if (insideTask || !owner.try_lock()) {
    task(context, 0, tasks);
    return;
  }
  insideTask = true;
  p.start();
  Job job{};
  job.task = task;
  job.context = context;
  job.tasks = tasks;
  job.grain = grain;
  p.job.store(&job, std::memory_order_seq_cst);
  {
    std::lock_guard<std::mutex> lock(p.mutex);
    p.generation.fetch_add(1, std::memory_order_release);
  }
  p.wake.notify_all();
  runRanges(job);
  p.job.store(nullptr, std::memory_order_seq_cst);
  while (p.helpers.load(std::memory_order_seq_cst) != 0) relax();  // those still in their last range
  insideTask = false;
  if (job.error) std::rethrow_exception(job.error);
}
