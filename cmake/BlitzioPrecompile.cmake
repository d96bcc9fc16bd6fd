# BLITZIO_PRECOMPILE: the headers of the standard library that most files include, compiled once per
# kind of target. Half of what a small file takes to compile goes into them. For development alone:
# with it a file compiles that lacks an include. GCC only: what Clang makes names the folder that it
# was made in and cannot be shared by a compiler cache.
set(BLITZIO_PRECOMPILED
    <algorithm> <array> <atomic> <chrono> <concepts> <condition_variable> <coroutine> <expected>
    <functional> <memory> <mutex> <optional> <span> <string> <thread> <tuple> <type_traits>
    <utility> <variant> <vector>)

# Has `target` use them, and what else is named; or those of another target with the same options.
function(blitzio_precompile target)
  if(NOT BLITZIO_PRECOMPILE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  # So that ccache sees what stands behind the one file.
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  if(ARGC GREATER 1 AND TARGET "${ARGV1}")
    target_precompile_headers(${target} REUSE_FROM ${ARGV1})
  else()
    target_precompile_headers(${target} PRIVATE ${BLITZIO_PRECOMPILED} ${ARGN})
  endif()
endfunction()
