# The model checker (docs/internals/model-checking.md) and a program per tests/model/*_model.cpp.
#
# The parts of the core that the scenarios use are compiled once more, apart from blitzio_core: with
# tests/model/doorway before src in the search path, so that the explorer stands behind the atomics,
# and with the thread sanitizer's instrumentation, whose functions the explorer brings itself. The
# explorer's own code has neither.
enable_testing()
find_package(GTest REQUIRED)
include(GoogleTest)

add_library(blitzio_model_doorway INTERFACE)
target_include_directories(blitzio_model_doorway BEFORE INTERFACE
                           ${PROJECT_SOURCE_DIR}/tests/model/doorway)
target_include_directories(blitzio_model_doorway INTERFACE ${PROJECT_SOURCE_DIR}/src
                           ${PROJECT_SOURCE_DIR}/tests)

add_library(blitzio_model_instrumented INTERFACE)
target_compile_options(
  blitzio_model_instrumented
  INTERFACE -fsanitize=thread
            $<$<CXX_COMPILER_ID:GNU>:--param=tsan-instrument-func-entry-exit=0>
            $<$<CXX_COMPILER_ID:Clang>:SHELL:-mllvm -tsan-instrument-func-entry-exit=0>)

file(GLOB explorer_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/model/explorer/*.cpp
     ${PROJECT_SOURCE_DIR}/tests/model/model.cpp)
add_library(blitzio_model_explorer STATIC ${explorer_sources})
target_link_libraries(blitzio_model_explorer PRIVATE blitzio_model_doorway blitzio_flags
                      GTest::gtest)

set(core_parts base task time sync channel)
list(TRANSFORM core_parts PREPEND ${PROJECT_SOURCE_DIR}/src/blitzio/)
list(TRANSFORM core_parts APPEND /*.cpp)
file(GLOB model_core_sources CONFIGURE_DEPENDS ${core_parts})
# The explorer has its own end for a check that fails, and nothing to look for before a sleep.
list(FILTER model_core_sources EXCLUDE REGEX "/base/(adaptive_spin|check|futex)\\.cpp$")
add_library(blitzio_model_core STATIC ${model_core_sources}
            ${PROJECT_SOURCE_DIR}/src/blitzio/driver/driver.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/executor/async_fd.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/executor/blocking_pool.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/executor/cancel_token.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/executor/group_state.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/executor/process_pool.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/executor/thread_poll.cpp
            ${PROJECT_SOURCE_DIR}/src/blitzio/fs/detail/ring_call.cpp)
target_link_libraries(blitzio_model_core PRIVATE blitzio_model_doorway blitzio_model_instrumented
                      blitzio_flags PUBLIC blitzio_model_explorer)

add_custom_target(model_tests)
file(GLOB model_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/model/*_model.cpp)
foreach(file IN LISTS model_files)
  get_filename_component(target ${file} NAME_WE)
  add_executable(${target} ${file})
  target_link_libraries(${target} PRIVATE blitzio_model_doorway blitzio_model_instrumented
                        blitzio_flags blitzio_model_core Threads::Threads GTest::gmock
                        GTest::gtest_main)
  add_dependencies(model_tests ${target})
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
endforeach()
