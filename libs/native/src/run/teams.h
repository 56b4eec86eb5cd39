// Which executors of a worker have their CPU in a run, and who waits for neighbours.
#pragma once

#include <cstddef>
#include <vector>

namespace interleave {

// Threads of one run: EXECUTOR_THREADS_MAX of libs/contracts.
inline constexpr std::size_t kExecutorThreadsMax = 64;

// A run of width w is led by an executor whose position is a multiple of w, and takes the CPUs of the w - 1 after it as
// well. A leader whose neighbours are busy claims them: they begin nothing more until it has begun. The oldest claim
// goes first, so its neighbours become free one by one and no two leaders wait for each other. Executor 0 leads runs of
// every width, and no other one's claim covers it. Pure; guarded by the queue's lock.
class Teams {
 public:
  explicit Teams(std::size_t executors) : widths_(executors), isHeld_(executors) {}

  // Runs of this width that there can be at once; what is left over leads none.
  static std::size_t Count(std::size_t executors, std::size_t width) { return executors / width; }
  bool Leads(std::size_t executor, std::size_t width) const {
    return executor % width == 0 && executor + width <= widths_.size();
  }

  // No run has its CPU, and no older claim than its own covers it.
  bool IsFree(std::size_t executor) const { return IsFreeFor(executor, 1); }
  // The executor is free, and so are the neighbours that a run of this width takes.
  bool IsFreeFor(std::size_t executor, std::size_t width) const;

  // Precondition: it is free for it. Its claim is over.
  void Begin(std::size_t executor, std::size_t width);
  // Returns the width of its run; 0 where it had none.
  std::size_t End(std::size_t executor);
  // Width of its run; 0: none.
  std::size_t WidthOf(std::size_t executor) const { return widths_[executor]; }

  // A claim that it has keeps its age.
  void Claim(std::size_t executor, std::size_t width);
  // Returns the width that it claimed; 0 where it had not.
  std::size_t Drop(std::size_t executor);
  // 0: none.
  std::size_t ClaimOf(std::size_t executor) const;
  std::size_t Claims() const { return claims_.size(); }
  // Leaders that claim and are free for what they claim.
  std::vector<std::size_t> Satisfied() const;

 private:
  struct Claimed {
    std::size_t leader = 0;
    std::size_t width = 0;
  };

  std::vector<std::size_t> widths_;  // by executor, of the run that it leads
  std::vector<bool> isHeld_;         // by executor: its CPU is in a run
  std::vector<Claimed> claims_;      // the oldest first
};

}  // namespace interleave
