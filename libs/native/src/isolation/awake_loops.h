// Keeps CPUs from sleeping where the kernel cannot be asked to: a thread of each CPU runs in a loop while nothing else
// wants it. A CPU of a virtual machine without an idle driver halts whenever it has nothing to do; the machine that it
// runs on then gives the time away, and takes up to a tenth of a millisecond to give it back, with cold caches.
#pragma once

#include <pthread.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace interleave {

// A CPU, and the clock of the thread whose work on it is no reason to let it sleep.
struct AwakeCpu {
  int cpu = 0;
  clockid_t executorClock = 0;  // 0: none
};

// Hold and Release: one thread. The loops have the idle class, like the executors of the batch lane. Who waits for a
// CPU gets it after 20 us at the latest, within one CPU cgroup; of another one, with the next tick of the kernel. A
// loop that was kept from its CPU for 1 ms, by other work than that of the live executor, leaves it alone for 10 ms,
// and for twice as long each time that this happens again before it has run for 20 ms, up to 160 ms.
class AwakeLoops {
 public:
  // At most so many threads: of more CPUs the first ones are kept awake.
  static constexpr std::size_t kLoopsMax = 8;

  explicit AwakeLoops(const std::vector<AwakeCpu>& cpus);
  // Joins the threads.
  ~AwakeLoops();
  AwakeLoops(const AwakeLoops&) = delete;
  AwakeLoops& operator=(const AwakeLoops&) = delete;

  // Why they do not run; empty: they do. Constant from construction on.
  const std::string& problem() const { return problem_; }

  void Hold() { SetHeld(true); }
  void Release() { SetHeld(false); }

  // CPU time of all loops since they began. Any thread.
  std::uint64_t CpuNs() const;

 private:
  struct Loop;

  void SetHeld(bool held);
  void Run(Loop& loop);
  // Until nobody wants the CPU awake any more; false: until others wanted it.
  bool Spin(Loop& loop);
  // Waits until CPUs are to be awake, but `pauseNs` at least; false: it is over.
  bool Wait(std::int64_t pauseNs);

  std::atomic<bool> held_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool isStopping_ = false;  // under mutex_
  std::vector<std::unique_ptr<Loop>> loops_;
  std::string problem_;
};

}  // namespace interleave
