(* Reads a claim in numbers from standard input and prints what the verified checker says of it.

   Numbers are hexadecimal, separated by white space; lists begin with their length. Nothing here decides
   anything: the functions of [Verified] are extracted from Coq. *)

open Verified

let buffer =
  let whole = Buffer.create 65536 and piece = Bytes.create 65536 in
  let rec read () =
    let n = input stdin piece 0 65536 in
    if n > 0 then (Buffer.add_subbytes whole piece 0 n; read ())
  in
  read ();
  Buffer.contents whole

let at = ref 0
let is_space c = c = ' ' || c = '\n'

let token () =
  while !at < String.length buffer && is_space buffer.[!at] do incr at done;
  let from = !at in
  while !at < String.length buffer && not (is_space buffer.[!at]) do incr at done;
  if from = !at then failwith "the input ends too early";
  String.sub buffer from (!at - from)

let digit c =
  match c with
  | '0' .. '9' -> Char.code c - 48
  | 'a' .. 'f' -> Char.code c - 87
  | _ -> failwith "a hexadecimal digit is due"

(* The positive number in a string from some place on; None if it is zero. *)
let natural text from =
  let number = ref None in
  for i = from to String.length text - 1 do
    let d = digit text.[i] in
    for bit = 3 downto 0 do
      let one = (d lsr bit) land 1 = 1 in
      number :=
        match !number with
        | None -> if one then Some XH else None
        | Some p -> Some (if one then XI p else XO p)
    done
  done;
  !number

let positive () = match natural (token ()) 0 with Some p -> p | None -> failwith "a positive number is due"
let count () = int_of_string ("0x" ^ token ())

let integer () =
  let text = token () in
  if text.[0] = '-' then match natural text 1 with Some p -> Zneg p | None -> Z0
  else match natural text 0 with Some p -> Zpos p | None -> Z0

let list_of read = List.init (count ()) (fun _ -> read ())
let rational () = let qnum = integer () in { qnum; qden = positive () }
let factor () = let v = positive () in (v, positive ())
let monomial () = list_of factor
let term () = let c = rational () in (c, monomial ())
let polynomial () = list_of term
let system () = list_of polynomial
let row () = list_of (fun () -> let w = rational () in (w, positive ()))
let say what holds = Printf.printf "%s %b\n%!" what holds

let inside_and_coarsest s blocks coarsest_check record =
  match token () with
  | "none" -> ()
  | _ -> (
      let initial = list_of positive in
      say "inside" (inside_check s blocks initial);
      match token () with
      | "none" -> ()
      | _ -> say "coarsest" (coarsest_check blocks initial (list_of record)))

let partition_claim check coarsest_check record =
  let s = system () in
  let g = system () in
  let blocks = list_of positive in
  say "lumping" (check s blocks g);
  inside_and_coarsest s blocks (coarsest_check s) (fun () -> list_of record)

let forward_record () =
  let m = positive () in
  let t = positive () in
  ((m, t), monomial ())

let backward_record () = let m = positive () in (m, monomial ())

let linear_claim () =
  let s = system () in
  let g = system () in
  let matrix = list_of row in
  say "lumping" (linear_check s matrix g);
  match token () with
  | "none" -> ()
  | _ ->
      let observables = list_of row in
      let carried = list_of row in
      let start = list_of positive in
      let steps = list_of (fun () -> let p = positive () in (p, list_of monomial)) in
      say "smallest" (smallest_check s matrix g observables carried start steps (integer ()))

let of_name = function
  | "inverse" -> Inverse | "exp" -> Exp | "log" -> Log | "power" -> Power | "abs" -> Abs | "sign" -> Sign
  | "sin" -> Sin | "cos" -> Cos | "tan" -> Tan | "asin" -> Asin | "acos" -> Acos | "atan" -> Atan
  | "sinh" -> Sinh | "cosh" -> Cosh | "tanh" -> Tanh | "asinh" -> Asinh | "acosh" -> Acosh | "atanh" -> Atanh
  | "named" -> Named (positive ())
  | name -> failwith ("the function is not known: " ^ name)

let symbols () = list_of (fun () -> let f = of_name (token ()) in (f, list_of polynomial))

let hint () =
  match token () with
  | "Fresh" -> Fresh
  | "Is" -> Is (polynomial ())
  | "Like" -> Like (positive ())
  | "Opposite" -> Opposite (positive ())
  | "Fact" -> Fact
  | "Whole" -> let n = integer () in Whole (n, polynomial ())
  | kind -> failwith ("the hint is not known: " ^ kind)

(* With quotients and functions: what a check needs of them comes before blocks or rows. *)
let with_functions () =
  let s = system () in
  let g = system () in
  let fs = symbols () in
  let gs = symbols () in
  let hints = list_of hint in
  let quotient_hints = list_of hint in
  let modulus = integer () in
  let points = list_of positive in
  (s, fs, g, gs, modulus, fun check parts -> check s fs hints parts g gs quotient_hints modulus points)

let partition_claim_of check nothing_coarser_check =
  let s, fs, _, _, modulus, run = with_functions () in
  let blocks = list_of positive in
  say "lumping" (run check blocks);
  inside_and_coarsest s blocks (nothing_coarser_check modulus s fs) positive

let linear_claim_of () =
  let s, fs, g, gs, modulus, run = with_functions () in
  let matrix = list_of row in
  say "lumping" (run linear_check_of matrix);
  match token () with
  | "none" -> ()
  | _ ->
      let observables = list_of row in
      let carried = list_of row in
      let start = list_of positive in
      let steps = list_of factor in
      say "smallest" (nothing_smaller_check modulus s fs g gs matrix observables carried start steps)

let () =
  match token () with
  | "forward_of" -> partition_claim_of forward_check_of forward_nothing_coarser_check
  | "backward_of" -> partition_claim_of backward_check_of backward_nothing_coarser_check
  | "linear_of" -> linear_claim_of ()
  | "forward" -> partition_claim forward_check forward_coarsest_check forward_record
  | "backward" -> partition_claim backward_check backward_coarsest_check backward_record
  | "linear" -> linear_claim ()
  | kind -> failwith ("the kind is not known: " ^ kind)
