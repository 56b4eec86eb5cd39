#include "session/thread_team.h"

#include <pthread.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

namespace interleave {
namespace {

ThreadTeam::Thread ThisThread() {
  clockid_t clock = CLOCK_MONOTONIC;
  if (pthread_getcpuclockid(pthread_self(), &clock) != 0) clock = CLOCK_MONOTONIC;
  return {.tid = gettid(), .cpuClock = clock};
}

}  // namespace

ThreadTeam::ThreadTeam(std::vector<int> cpus, std::function<void(int cpu)> prepare)
    : cpus_(std::move(cpus)), prepare_(std::move(prepare)) {
  threads_.reserve(cpus_.size());
}

void ThreadTeam::AppendTo(ort::SessionOptions* options, const ort::OrtLibrary& library) {
  const ort::Functions& api = library.api();
  library.Check(api.SetIntraOpNumThreads(options, static_cast<int>(cpus_.size()) + 1));
  const bool hasHelpers = !cpus_.empty();
  library.Check(api.AddSessionConfigEntry(options, "session.intra_op.allow_spinning", hasHelpers ? "1" : "0"));
  if (!hasHelpers) return;
  library.Check(api.AddSessionConfigEntry(options, "session.force_spinning_stop", "1"));
  library.Check(api.SessionOptionsSetCustomCreateThreadFn(options, Create));
  library.Check(api.SessionOptionsSetCustomThreadCreationOptions(options, this));
  library.Check(api.SessionOptionsSetCustomJoinThreadFn(options, Join));
}

const ort::CustomThread* ThreadTeam::Create(void* options, ort::ThreadWork work, void* argument) {
  auto& team = *static_cast<ThreadTeam*>(options);
  if (team.threads_.size() == team.cpus_.size()) return nullptr;
  const int cpu = team.cpus_[team.threads_.size()];
  try {
    std::promise<Thread> started;
    std::future<Thread> thread = started.get_future();
    auto handle = std::make_unique<std::thread>([&team, started = std::move(started), work, argument, cpu]() mutable {
      if (team.prepare_) team.prepare_(cpu);
      started.set_value(ThisThread());
      work(argument);
    });
    team.threads_.push_back(thread.get());
    return reinterpret_cast<const ort::CustomThread*>(handle.release());
  } catch (const std::system_error&) {
    return nullptr;
  }
}

void ThreadTeam::Join(const ort::CustomThread* thread) {
  const std::unique_ptr<std::thread> handle(reinterpret_cast<std::thread*>(const_cast<ort::CustomThread*>(thread)));
  handle->join();
}

}  // namespace interleave
