#include "channel/server_client.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "channel/messages.h"

namespace interleave {
namespace {

// A client that lets this much pile up is not reading.
constexpr std::size_t kBacklogBytesMax = 4 * kTextBytesMax;

}  // namespace

ServerSignals::ServerSignals() : wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!wake_.valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
}

void ServerSignals::WakeIoThread() {
  const std::uint64_t one = 1;
  // Fails only when the counter is at its maximum, and then the thread is being woken anyway.
  [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
}

ServerClient::ServerClient(std::uint64_t id, std::uint32_t pid, Fd socket, Region region,
                           std::shared_ptr<ServerSignals> signals)
    : id_(id),
      pid_(pid),
      signals_(std::move(signals)),
      region_(std::move(region)),
      submissions_(region_.submissionCells(), LayoutFor(region_.size().ringCapacity).submissionCapacity,
                   &region_.header()->submissionHead.word, &region_.header()->submissionTail.word),
      sleep_(&region_.header()->workerSleep.word),
      completions_(region_.completionCells(), region_.size().ringCapacity, &region_.header()->completionHead.word,
                   &region_.header()->completionTail.word),
      clientWaker_(&region_.header()->clientSleep.word),
      socket_(std::move(socket)) {
  sleep_.Sleep();
}

ServerClient::Next ServerClient::TakeCell(SubmissionCell& cell) {
  if (broken()) return Next::kBroken;
  auto available = submissions_.Available();
  if (available == 0u) {
    if (sleep_.asleep()) return Next::kEmpty;
    sleep_.Sleep();
    available = submissions_.Available();
    if (available == 0u) return Next::kEmpty;
  }
  if (!available) return Next::kBroken;
  if (sleep_.asleep()) sleep_.Wake();
  cell = submissions_.Read();
  submissions_.Release();
  return Next::kCell;
}

std::optional<Block> ServerClient::BlockOf(std::uint64_t offset, std::uint64_t bytes, std::uint64_t bytesMin) const {
  if (bytes < bytesMin || bytes % kLineBytes != 0) return std::nullopt;
  return BlockAt(region_.arena(), region_.arenaBytes(), offset, bytes);
}

bool ServerClient::AdmitItem() {
  // An item is in flight until the client has taken its completion.
  // Acquire: pairs with RingConsumer::Release; else `completed` could be older than `taken`, as if the client lied.
  const std::uint64_t taken = std::atomic_ref(region_.header()->completionHead.word).load(std::memory_order_acquire);
  // Acquire: pairs with RingProducer::Publish in Complete. The client may give us a block again whose response it has
  // taken: what an executor wrote there comes before what is written now.
  const std::uint64_t completed =
      std::atomic_ref(region_.header()->completionTail.word).load(std::memory_order_acquire);
  ++itemsTaken_;
  return taken <= completed && itemsTaken_ - taken <= region_.size().ringCapacity;
}

bool ServerClient::TakeDoorbells() {
  std::array<char, 256> bytes;
  const long received = recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (received == 0) return false;
  if (received < 0) return errno == EAGAIN || errno == EINTR;
  sleep_.Rung();
  return std::all_of(bytes.begin(), bytes.begin() + received,
                     [](char byte) { return byte == static_cast<char>(kFrameDoorbell); });
}

void ServerClient::FlushSocket() {
  const std::lock_guard lock(sendMutex_);
  if (!socket_.valid() || backlog_.empty()) return;
  const long sent = send(socket_.get(), backlog_.data(), backlog_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) backlog_.erase(0, static_cast<std::size_t>(sent));
}

bool ServerClient::socketHasBacklog() {
  const std::lock_guard lock(sendMutex_);
  return !backlog_.empty();
}

void ServerClient::Close() {
  gone_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(sendMutex_);
  socket_.Close();
  backlog_.clear();
}

void ServerClient::Complete(std::uint64_t itemId) {
  bool ring = false;
  {
    const std::lock_guard lock(completionMutex_);
    const auto room = completions_.Room(1);
    if (room.value_or(0) == 0) {
      MarkBroken();  // impossible while the client keeps to its ring capacity (AdmitItem)
      return;
    }
    completions_.Write({itemId});
    completions_.Publish();
    ring = clientWaker_.ShouldRing();
  }
  if (ring) Send(std::string_view(reinterpret_cast<const char*>(&kFrameDoorbell), 1));
}

void ServerClient::SendText(std::string_view text) { Send(EncodeTextFrame(text)); }

void ServerClient::Send(std::string_view bytes) {
  const std::lock_guard lock(sendMutex_);
  if (!socket_.valid()) return;
  if (backlog_.empty()) {
    const long sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return;  // the I/O thread sees the hang-up
    if (bytes.empty()) return;
  }
  backlog_.append(bytes);
  if (backlog_.size() > kBacklogBytesMax) MarkBroken();
  signals_->WakeIoThread();  // it waits for room and flushes
}

void ServerClient::MarkBroken() {
  broken_.store(true, std::memory_order_relaxed);
  signals_->WakeIoThread();
}

}  // namespace interleave
