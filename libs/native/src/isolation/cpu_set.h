// CPU sets of any size: the machine may have more CPUs than cpu_set_t holds.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace interleave {

class CpuSet {
 public:
  static constexpr int kCpusMax = 8192;

  CpuSet() : set_(CPU_ALLOC(kCpusMax)), bytes_(CPU_ALLOC_SIZE(kCpusMax)) { CPU_ZERO_S(bytes_, set_); }
  explicit CpuSet(const std::vector<int>& cpus) : CpuSet() {
    for (const int cpu : cpus) Add(cpu);
  }
  ~CpuSet() { CPU_FREE(set_); }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;

  void Add(int cpu) { CPU_SET_S(static_cast<std::size_t>(cpu), bytes_, set_); }
  bool Has(int cpu) const { return CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes_, set_); }
  bool Equals(const CpuSet& other) const { return CPU_EQUAL_S(bytes_, set_, other.set_); }
  // Reads the set of a thread by its id, 0: the calling thread. False with errno.
  bool ReadOf(pid_t thread) const { return sched_getaffinity(thread, bytes_, set_) == 0; }
  bool ApplyTo(pid_t thread) const { return sched_setaffinity(thread, bytes_, set_) == 0; }

 private:
  cpu_set_t* set_;
  std::size_t bytes_;
};

}  // namespace interleave
