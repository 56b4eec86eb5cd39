#include "run/heartbeat.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>

#include "clock.h"
#include "item.h"
#include "run/flights.h"

namespace interleave {
namespace {

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(std::uint64_t), "the scheduler reads plain words");

constexpr auto kBeat = std::chrono::milliseconds(100);
constexpr std::array kFatalSignals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

// Of this thread. In the initial-exec model: a signal handler reads it without allocating.
[[gnu::tls_model("initial-exec")]] thread_local constinit const Heartbeat::Activity* tActivity = nullptr;

struct Helper {
  const Heartbeat* heartbeat = nullptr;
  std::uint32_t revision = 0;
  std::size_t leader = 0;
};
[[gnu::tls_model("initial-exec")]] thread_local constinit Helper tHelper;

const Heartbeat::Activity* ActivityOfThread() {
  if (tActivity != nullptr || tHelper.heartbeat == nullptr) return tActivity;
  return tHelper.heartbeat->ActivityWith(tHelper.revision, tHelper.leader);
}

struct sigaction previousActions[NSIG];

// Notes the culprit and leaves the rest to who was here before: node handles faults of WebAssembly itself. The default
// action is put back, so that the process dies of the signal: a fault comes again when the instruction is tried again,
// a signal that was sent is sent again.
void OnFatalSignal(int signal, siginfo_t* info, void* context) {
  if (const Heartbeat::Activity* activity = ActivityOfThread()) activity->TakeBlame();
  const struct sigaction& previous = previousActions[signal];
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  struct sigaction byDefault {};
  byDefault.sa_handler = SIG_DFL;
  sigaction(signal, &byDefault, nullptr);
  if (info->si_code <= 0) raise(signal);
}

void WatchFatalSignals() {
  static std::once_flag once;
  std::call_once(once, [] {
    for (const int signal : kFatalSignals) {
      struct sigaction action {};
      action.sa_sigaction = OnFatalSignal;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK;
      sigemptyset(&action.sa_mask);
      sigaction(signal, nullptr, &previousActions[signal]);
      sigaction(signal, &action, nullptr);
    }
  });
}

Word* Map(int fd, std::size_t bytes) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* page = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, std::max(fd, -1), 0);
  if (page == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "the page of the heartbeat");
  return static_cast<Word*>(page);
}

}  // namespace

Heartbeat::Heartbeat(int fd, std::size_t slotsCount)
    : bytes_((2 + 2 * slotsCount) * sizeof(Word)),
      words_(Map(fd, bytes_)),
      activities_(slotsCount),
      thread_([this] { Loop(); }) {
  if (fd >= 0) WatchFatalSignals();
}

Heartbeat::~Heartbeat() {
  {
    const std::scoped_lock lock(mutex_);
    isStopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
  munmap(words_, bytes_);
}

void Heartbeat::Help(std::uint32_t revision, std::size_t leader) {
  tHelper = {.heartbeat = this, .revision = revision, .leader = leader};
}

const Heartbeat::Activity* Heartbeat::ActivityWith(std::uint32_t revision, std::size_t likely) const {
  const Activity* leader = activities_[likely].load();
  if (leader != nullptr && leader->revision() == revision) return leader;
  for (const auto& slot : activities_) {
    const Activity* activity = slot.load();
    if (activity != nullptr && activity->revision() == revision) return activity;
  }
  return nullptr;
}

void Heartbeat::Blame(std::size_t slot) {
  const Activity* activity = activities_[slot].load();
  if (activity != nullptr) activity->TakeBlame();
}

void Heartbeat::Loop() {
  pthread_setname_np(pthread_self(), "heartbeat");
  std::unique_lock lock(mutex_);
  do {
    words_[0].fetch_add(1, std::memory_order_relaxed);
  } while (!stop_.wait_for(lock, kBeat, [this] { return isStopping_; }));
}

Heartbeat::Activity::Activity(Heartbeat& heartbeat, std::size_t slot, std::uint32_t revision, Phase phase)
    : heartbeat_(heartbeat), slot_(slot), revision_(revision) {
  heartbeat.SinceOf(slot).store(static_cast<std::uint64_t>(MonotonicNowNs()), std::memory_order_relaxed);
  Enter(phase);
  heartbeat.activities_[slot].store(this);
  tActivity = this;
}

void Heartbeat::Activity::Enter(Phase phase) {
  // Who reads it reads its time as well.
  heartbeat_.ActivityOf(slot_).store(revision_ | static_cast<std::uint64_t>(phase) << 32, std::memory_order_release);
}

void Heartbeat::Activity::TakeBlame() const {
  heartbeat_.words_[1].store(heartbeat_.ActivityOf(slot_).load(std::memory_order_relaxed), std::memory_order_relaxed);
  for (const QueuedItem* queued : items_) {
    if (queued->item.responder) queued->item.responder->MarkGuilty();
  }
  // Last: another thread may be changing these. Then this fault is the second one, and ends the process as well.
  for (const QueuedItem* queued : items_) {
    if (queued->flight == nullptr) continue;
    for (const QueuedItem& follower : queued->flight->followers) {
      if (follower.item.responder) follower.item.responder->MarkGuilty();
    }
  }
}

Heartbeat::Activity::~Activity() {
  tActivity = nullptr;
  heartbeat_.activities_[slot_].store(nullptr);
  heartbeat_.ActivityOf(slot_).store(0, std::memory_order_relaxed);
}

}  // namespace interleave
