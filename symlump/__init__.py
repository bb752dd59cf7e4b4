from symlump.ode.polynomial import PolynomialODE
